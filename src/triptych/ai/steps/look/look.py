"""The step `look`: the overall look of a brand's pictures, and its outliers.

Palette, kinds and outliers have their own modules: `palette`, `picture_kinds`, `outliers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from triptych.ai.context import StepResult
from triptych.ai.points import Indices, blocks
from triptych.ai.step import Snapshot, Step
from triptych.ai.steps.look.outliers import SCORE_MIN, describe, find_likeness
from triptych.ai.steps.look.palette import distance, find_palette
from triptych.ai.steps.look.picture_kinds import KINDS, UNKNOWN, find_kinds

BASELINE = 0.2
"""Mean cosine of two unrelated pictures with the bundled model: 0.20 to 0.25 between photographs,
icons and cut-outs. Used when there are too few other brands to measure it."""
BRANDS_MIN = 5
"""Least number of other brands to measure the baseline from."""
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
BLOCK_ROWS = 4_096
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
        coherence   {score, cosine, baseline, brands}: the mean cosine of two of the brand's
                    pictures, the same of unrelated pictures (the baseline), and how many other
                    brands the baseline comes from (0: a constant); the score is 0 at the baseline
                    and 1 at a cosine of 1; null with fewer than two embeddings
        outliers    see `outliers.describe`
        outlier_count
        change      since the previous snapshot: {added, removed, palette: how far it moved,
                    kinds: {kind: share gained or lost}, coherence: gained or lost}; null if
                    there is none. `added` and `removed` are left out where they are unknown.

    Marks: `look`, the kind; `outlier`, 0..1, at least one half for off-brand pictures.
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
        "coherence": _coherence(snapshot),
        "outliers": [] if likeness is None else describe(snapshot, likeness, kinds),
        "outlier_count": 0 if likeness is None else int((likeness.scores >= SCORE_MIN).sum()),
    }
    result["change"] = _change(snapshot, result)
    marks: dict[str, list[Any]] = {
        "look": [None if kind == UNKNOWN else KINDS[kind] for kind in kinds.tolist()]
    }
    if likeness is not None:
        marks["outlier"] = [
            None if np.isnan(score) else round(score, 3) for score in likeness.scores.tolist()
        ]
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


def _coherence(snapshot: Snapshot) -> dict[str, float] | None:
    """See `find_look`. The mean over all pairs comes from one sum, not from single pairs."""
    count = len(snapshot.embeddings)
    if count < 2:
        return None
    total = np.zeros(snapshot.embeddings.shape[1])
    lengths = 0.0
    for block in blocks(count, BLOCK_ROWS):
        vectors = snapshot.embeddings[block].astype(np.float64)
        total += vectors.sum(axis=0)
        lengths += float((vectors**2).sum())
    # |sum|² holds every pair twice, and each vector with itself: subtract the latter.
    cosine = (float(total @ total) - lengths) / (count * (count - 1))
    mean = total / count
    with_others = [float(mean @ other.mean) for other in snapshot.context.others.brands()]
    measured = len(with_others) >= BRANDS_MIN
    baseline = float(np.mean(with_others)) if measured else BASELINE
    score = (cosine - baseline) / max(1 - baseline, 1e-6)
    return {
        "score": round(min(max(score, 0.0), 1.0), 3),
        "cosine": round(cosine, 3),
        "baseline": round(baseline, 3),
        "brands": len(with_others) if measured else 0,
    }


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
