"""The asset step `file`: keeps what each picture's file shows, once for each content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from triptych.ai.asset_step import AssetStep, Given
from triptych.features.file_feature import FILE, as_result
from triptych.media.file_facts import FileFacts

BATCH = 32


def keep(facts: Sequence[FileFacts]) -> Sequence[Mapping[str, Any]]:
    """Return each file's facts as they are kept."""
    return [as_result(each) for each in facts]


FILE_READING = AssetStep(FILE.name, FILE.version, 1, BATCH, keep, given=Given.FACTS)
