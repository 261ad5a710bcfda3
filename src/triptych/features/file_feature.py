"""What a picture's file shows, as it is kept: style, quality, and origin."""

from __future__ import annotations

import msgspec

from triptych.features.feature_store import Feature, FeatureKind
from triptych.media.file_facts import FileFacts
from triptych.model import Metadata

FILE = FeatureKind("file", 1)


def facts_of(feature: Feature | None) -> FileFacts | None:
    """Return the facts that a feature holds; None if there are none, or it cannot be read."""
    if feature is None or feature.result is None:
        return None
    return msgspec.convert(feature.result, FileFacts)


def as_result(facts: FileFacts) -> Metadata:
    """Return facts as the result of a feature."""
    result: Metadata = msgspec.to_builtins(facts)
    return result
