"""The port FeatureStore: what was computed from content, by kind, version and SHA-256."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from triptych.model import Metadata

RESULT_MAX_BYTES = 64 * 1024
"""Of one result, as JSON."""
ERROR_MAX_CHARS = 300


@dataclass(frozen=True, slots=True)
class FeatureKind:
    """What is computed, and by which version of the code; the results of two are never mixed."""

    name: str
    version: int
    """Counts from 1; increases with every change to the meaning of the results."""


@dataclass(frozen=True, slots=True)
class Feature:
    """What was computed from one content: a result, or why there is none."""

    sha256: bytes
    result: Metadata | None
    error: str | None = None
    """Set where the content cannot be read: it is not tried again by this version."""


class FeatureStore(Protocol):
    """Features by content, whichever brands and runs have it.

    A feature goes when the collector deletes its object, that is when no asset has the content.
    """

    async def missing(self, kind: FeatureKind, contents: Sequence[bytes]) -> list[bytes]:
        """Return those of some contents that have no feature of a kind, in their order."""
        ...

    async def put(self, kind: FeatureKind, features: Sequence[Feature]) -> None:
        """Keep features; one that is there already stays, so that it is safe to repeat.

        Raises:
            ValueError: a feature has both or neither of result and error, or is too large.
        """
        ...

    async def read(self, kind: FeatureKind, contents: Sequence[bytes]) -> Mapping[bytes, Feature]:
        """Return the features of a kind that some contents have, by SHA-256."""
        ...


def check_features(features: Sequence[Feature]) -> None:
    """Raise `ValueError` for a feature that no store takes."""
    for feature in features:
        if (feature.result is None) == (feature.error is None):
            raise ValueError(f"{feature.sha256.hex()} needs either a result or an error")
        size = len(orjson.dumps(feature.result))
        if size > RESULT_MAX_BYTES:
            raise ValueError(
                f"The result of {feature.sha256.hex()} has {size} bytes of JSON; "
                f"{RESULT_MAX_BYTES} are allowed"
            )
