"""The step `look`: the overall look of a brand's pictures, and its outliers.

Its parts have their own modules: `palette`, `picture_kinds`, `coherence`, `outliers` of other
content, and `treatments`, which are outliers of other treatment.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from triptych.ai.context import StepResult
from triptych.ai.points import Indices
from triptych.ai.step import Snapshot, Step
from triptych.ai.steps.look.coherence import find_coherence
from triptych.ai.steps.look.outliers import SCORE_MIN, describe, find_likeness
from triptych.ai.steps.look.palette import distance, find_palette
from triptych.ai.steps.look.picture_kinds import KINDS, UNKNOWN, find_kinds
from triptych.ai.steps.look.treatments import described, find_treatments

SQUARE = 1.05
"""Largest ratio of the longer to the shorter side of a picture that counts as square."""
RATIOS: Mapping[str, float] = {
    "1:1": 1.0,
    "5:4": 5 / 4,
    "4:3": 4 / 3,
    "3:2": 3 / 2,
    "16:9": 16 / 9,
    "2:1": 2.0,
    "4:5": 4 / 5,
    "3:4": 3 / 4,
    "2:3": 2 / 3,
    "9:16": 9 / 16,
    "1:2": 1 / 2,
}
RATIO_TOLERANCE = 0.02
KINDS_SHARE = 0.7
"""Approximate share of the step's time that reading pictures takes."""


def find_look(snapshot: Snapshot) -> StepResult:
    """Describe the brand's look, and mark each asset with its kind and its outlier score.

    The result::

        palette     see `palette.find_palette`
        kinds       {photograph | packshot | drawing | logo: {count, share}}, share of the known
        kinds_seen  pictures that were read; the other kinds are predicted from them
        shapes      {square, landscape, portrait: {count, share}}
        ratios      {"16:9": share, …}: usual ratios of width to height, the most frequent first
        coherence   see `coherence.find_coherence`
        outliers    see `outliers.describe`
        outlier_count
        treatments  pictures of off-brand treatment, see `treatments.described`; empty, and the
                    count null, if the files of too few pictures were read
        treatment_count
        change      since the previous snapshot: {added, removed, palette: how far it moved,
                    kinds: {kind: share gained or lost}, coherence: gained or lost}; null if
                    there is none. `added` and `removed` are left out where they are unknown.

    Marks: `look`, the kind; `outlier`, 0..1, at least one half for off-brand pictures;
    `treatment`, what is off brand in a picture's treatment, a list of texts.
    """
    progress = snapshot.context.progress
    kinds, seen = find_kinds(snapshot, lambda share: progress(KINDS_SHARE * share))
    likeness = find_likeness(
        snapshot, lambda share: progress(KINDS_SHARE + (1 - KINDS_SHARE) * share)
    )
    result: dict[str, Any] = {
        "palette": find_palette(snapshot),
        "kinds": _kinds(kinds),
        "kinds_seen": seen,
        "shapes": _shapes(snapshot),
        "ratios": _ratios(snapshot),
        "coherence": find_coherence(snapshot),
        "outliers": [] if likeness is None else describe(snapshot, likeness, kinds),
        "outlier_count": 0 if likeness is None else int((likeness.scores >= SCORE_MIN).sum()),
    }
    treated = find_treatments(snapshot.context.features)
    result["treatments"] = described(snapshot, treated or [])
    result["treatment_count"] = None if treated is None else len(treated)
    result["change"] = _change(snapshot, result)
    marks: dict[str, list[Any]] = {
        "look": [None if kind == UNKNOWN else KINDS[kind] for kind in kinds.tolist()]
    }
    if likeness is not None:
        marks["outlier"] = [
            None if np.isnan(score) else round(score, 3) for score in likeness.scores.tolist()
        ]
    if treated is not None:
        words = {each.row: list(each.why) for each in treated}
        marks["treatment"] = [words.get(row) for row in range(len(snapshot))]
    return StepResult(result, marks)


LOOK = Step("look", 2, find_look)


def _kinds(kinds: Indices) -> dict[str, dict[str, float]]:
    known = kinds[kinds != UNKNOWN]
    counts = np.bincount(known, minlength=len(KINDS)).tolist()
    return {
        name: {"count": count, "share": round(count / known.size, 3)}
        for name, count in sorted(zip(KINDS, counts, strict=True), key=lambda each: -each[1])
        if count
    }


def _shapes(snapshot: Snapshot) -> dict[str, dict[str, float]]:
    ratios = snapshot.widths / np.maximum(snapshot.heights, 1)
    landscape, portrait = int((ratios > SQUARE).sum()), int((ratios < 1 / SQUARE).sum())
    counts = {
        "square": len(snapshot) - landscape - portrait,
        "landscape": landscape,
        "portrait": portrait,
    }
    return {
        name: {"count": count, "share": round(count / len(snapshot), 3)}
        for name, count in counts.items()
        if count
    }


def _ratios(snapshot: Snapshot) -> dict[str, float]:
    ratios = snapshot.widths / np.maximum(snapshot.heights, 1)
    shares = {
        name: float((np.abs(ratios / ratio - 1) <= RATIO_TOLERANCE).mean())
        for name, ratio in RATIOS.items()
        if ratios.size
    }
    frequent = sorted(shares, key=lambda name: -shares[name])
    return {name: round(shares[name], 3) for name in frequent if shares[name]}


def _change(snapshot: Snapshot, now: Mapping[str, Any]) -> dict[str, Any] | None:
    earlier = snapshot.context.earlier
    before = None if earlier is None else earlier.results.get("look")
    if earlier is None or before is None:
        return None
    change: dict[str, Any] = {}
    # The earlier keys only cover assets that had a mark.
    if len(earlier.keys) == before["assets"] and not before["sampled"] and not snapshot.sampled:
        kept = int((earlier.rows_of(snapshot.keys) >= 0).sum())
        change = {"added": len(snapshot) - kept, "removed": len(earlier.keys) - kept}
    if before["palette"] and now["palette"]:
        change["palette"] = round(distance(before["palette"], now["palette"]), 3)
    shares = partial(_share, before["kinds"]), partial(_share, now["kinds"])
    change["kinds"] = {kind: round(shares[1](kind) - shares[0](kind), 3) for kind in KINDS}
    if before["coherence"] and now["coherence"]:
        gained = now["coherence"]["score"] - before["coherence"]["score"]
        change["coherence"] = round(gained, 3)
    return change


def _share(kinds: Mapping[str, Mapping[str, float]], kind: str) -> float:
    return float(kinds.get(kind, {}).get("share", 0.0))
