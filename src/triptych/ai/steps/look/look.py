"""The step `look`: what a brand's pictures look like as a whole, and which do not belong.

Palette, kinds and outliers are in rooms of their own: `palette`, `kinds`, `outliers`.
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
"""Mean cosine of two unrelated pictures with the bundled model, between photographs, icons and
cut-outs: 0.20 to 0.25. It is used where too few other brands are there to measure it."""
BRANDS_MIN = 5
"""Other brands from which the baseline is measured."""
SQUARE = 1.05
"""Largest ratio of the longer side to the shorter of what is called square."""
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
"""Of the step's time, about, that looking at pictures takes."""


def find_look(snapshot: Snapshot) -> StepResult:
    """Describe the brand's look, and mark each asset with its kind and how far off brand it is.

    The result::

        palette     see `palette.find_palette`
        kinds       {photograph | drawing | logo: {count, share}}; share of those that are known
        kinds_seen  pictures that were looked at; the other kinds are learnt from them
        shapes      {square, landscape, portrait: {count, share}}
        ratios      {"16:9": share, …}: usual ratios of width to height, the most frequent first
        coherence   {score, cosine, baseline, brands}: the mean cosine of two of the brand's
                    pictures, that of unrelated ones and how many other brands that comes from
                    (0: it is a constant), and where the first lies between the second, 0, and 1;
                    null with fewer than two embeddings
        outliers    see `outliers.describe`
        outlier_count
        change      against the snapshot before: {added, removed, palette: how far it moved,
                    kinds: {kind: share gained or lost}, coherence: gained or lost}; null if there
                    is none. `added` and `removed` are left out where they cannot be told.

    Marks: `look`, the kind; `outlier`, 0..1, half and more for what is off brand.
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


LOOK = Step("look", 1, find_look)


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
    """See `find_look`. The mean over all pairs, from one sum: no pair is looked at."""
    count = len(snapshot.embeddings)
    if count < 2:
        return None
    total = np.zeros(snapshot.embeddings.shape[1])
    lengths = 0.0
    for block in blocks(count, BLOCK_ROWS):
        vectors = snapshot.embeddings[block].astype(np.float64)
        total += vectors.sum(axis=0)
        lengths += float((vectors**2).sum())
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
    # Assets of which nothing was said are not among the earlier keys.
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
