"""Coherence: how alike a brand's pictures are, and whether that is much."""

from __future__ import annotations

from typing import Any

import numpy as np

from triptych.ai.context import OtherBrand
from triptych.ai.points import blocks
from triptych.ai.step import Snapshot

BASELINE = 0.2
"""Mean cosine of two unrelated pictures with the bundled model: 0.20 to 0.25 between photographs,
icons and cut-outs. Used when there are too few other brands to measure it."""
BRANDS_MIN = 5
"""Least number of other brands to compare with."""
BLOCK_ROWS = 4_096


def find_coherence(snapshot: Snapshot) -> dict[str, Any] | None:
    """Return how alike a brand's pictures are; None with fewer than two embeddings.

    The mean over all pairs comes from one sum, not from single pairs. The result::

        score       0 at the baseline, 1 at a cosine of 1
        cosine      mean cosine of two of the brand's pictures
        baseline    the same of unrelated pictures
        brands      other brands that it is compared with; 0: too few, the baseline is a constant
        percentile  of those, the percentage whose pictures are less alike; null if too few
        sentence    the same in words
    """
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
    with_others, of_others = [], []
    for other in snapshot.context.others.brands():
        with_others.append(float(mean @ other.mean))
        if (own := cosine_of(other)) is not None:
            of_others.append(own)
    measured = len(with_others) >= BRANDS_MIN
    baseline = float(np.mean(with_others)) if measured else BASELINE
    score = (cosine - baseline) / max(1 - baseline, 1e-6)
    percentile = None
    if len(of_others) >= BRANDS_MIN:
        percentile = round(100 * float(np.mean([own < cosine for own in of_others])))
    return {
        "score": round(min(max(score, 0.0), 1.0), 3),
        "cosine": round(cosine, 3),
        "baseline": round(baseline, 3),
        "brands": len(with_others) if measured else 0,
        "percentile": percentile,
        "sentence": _sentence(percentile, len(of_others)),
    }


def cosine_of(other: OtherBrand) -> float | None:
    """Return the mean cosine of two of another brand's pictures; None if it has one."""
    count = float(other.sizes.sum())
    if count < 2:
        return None
    # Its vectors are of length 1, so that the mean of all pairs, each with itself too, is |mean|².
    return (count * float(other.mean @ other.mean) - 1) / (count - 1)


def _sentence(percentile: int | None, brands: int) -> str:
    if percentile is None:
        return (
            f"There are {brands} other brands to compare with; {BRANDS_MIN} are needed to say"
            " whether these pictures are much alike."
        )
    if percentile >= 50:
        return f"Its pictures are more alike than those of {percentile} % of {brands} other brands."
    return (
        f"Its pictures are more varied than those of {100 - percentile} % of {brands} other brands."
    )
