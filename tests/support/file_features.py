"""What files show, made by hand, for tests of the steps that read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from triptych.ai.context import AssetStepOutcome
from triptych.features.feature_store import Feature
from triptych.features.file_feature import FILE, as_result
from triptych.media.file_facts import FileFacts, FileOrigin, Quality, Style

USUAL = Style(
    *(60.0, 1.0, 2.0, 20.0, 4.0, 5.0, 8.0, 14.0),
    border=10.0,
    border_lightness=80.0,
    border_chroma=1.0,
    ground=0.2,
    tones=5.0,
    frame=0.0,
    frame_chroma=0.0,
    badge=0.0,
)
"""Of a picture in colour, without a frame or a badge."""
SILENT = FileOrigin(None, None, None, None, None, False, False, [])
"""Of a file that says nothing."""


def facts(
    *,
    style: Mapping[str, float] | None = None,
    detail: float | None = 0.8,
    blocks: float | None = 1.0,
    **origin: Any,
) -> FileFacts:
    """Return what a usual file shows, but for what is given."""
    return FileFacts(
        msgspec.structs.replace(USUAL, **(style or {})),
        Quality(detail, blocks),
        msgspec.structs.replace(SILENT, **origin),
    )


class FileFeatures:
    """Facts of assets by row; None where the file cannot be read. Other rows were not read yet."""

    def __init__(self, known: Mapping[int, FileFacts | None], error: str | None = None) -> None:
        self._known = known
        self._error = error

    def outcome(self, step: str) -> AssetStepOutcome | None:
        return AssetStepOutcome(error=self._error) if step == FILE.name else None

    def read(self, step: str) -> Iterable[tuple[int, Feature]]:
        assert step == FILE.name
        for row, known in self._known.items():
            error = "undecodable: broken" if known is None else None
            yield row, Feature(bytes(32), None if known is None else as_result(known), error)
