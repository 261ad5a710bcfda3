"""The step `quality`: how many pictures are blurred, soft, compressed too much, or too small."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triptych.ai.context import StepResult
from triptych.ai.step import Snapshot, Step
from triptych.features.file_feature import FILE, facts_of
from triptych.features.picture_quality import FAULTS, SMALL_SIDE, faults_of

VERSION = 1
LISTED_MAX = 50
"""Assets listed of each fault, in the order of keys; all are counted, and marked."""


def find_faults(snapshot: Snapshot) -> StepResult:
    """Count the faults of a brand's pictures, and mark each asset with its own.

    The result::

        on            false where this installation does not read files; nothing else then
        measured      pictures whose files were read
        unreadable    those that cannot be
        not_read_yet  those that a later phase reads
        with_faults   pictures with any fault
        small_side    the longest side in pixels below which a picture is too small
        faults        {blurred | soft | compressed | small: {count, share, keys: at most
                      `LISTED_MAX`}}; the meanings are those of `triptych.features.picture_quality`
        problem       why reading ended early, if it did

    The mark `faults` is a list of them, None where the file was not read.
    """
    features = snapshot.context.features
    outcome = features.outcome(FILE.name)
    if outcome is None:
        return StepResult({"on": False})
    marks: list[list[str] | None] = [None] * len(snapshot)
    found: dict[str, list[int]] = {fault: [] for fault in FAULTS}
    measured = unreadable = 0
    for row, feature in features.read(FILE.name):
        facts = facts_of(feature)
        if facts is None:
            unreadable += 1
            continue
        measured += 1
        own = faults_of(facts, int(snapshot.widths[row]), int(snapshot.heights[row]))
        marks[row] = own
        for fault in own:
            found[fault].append(row)
    result: dict[str, Any] = {
        "on": True,
        "measured": measured,
        "unreadable": unreadable,
        "not_read_yet": len(snapshot) - measured - unreadable,
        "with_faults": sum(bool(own) for own in marks),
        "small_side": SMALL_SIDE,
        "faults": {fault: _listed(snapshot, rows, measured) for fault, rows in found.items()},
    }
    if outcome.error is not None:
        result["problem"] = outcome.error
    return StepResult(result, {"faults": marks})


def _listed(snapshot: Snapshot, rows: list[int], measured: int) -> Mapping[str, Any]:
    return {
        "count": len(rows),
        "share": round(len(rows) / max(measured, 1), 3),
        "keys": sorted(map(snapshot.key, rows))[:LISTED_MAX],
    }


QUALITY = Step("quality", VERSION, find_faults)
