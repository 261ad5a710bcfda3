"""Off-brand pictures: those that are unlike even their nearest neighbours in the brand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.ai.colour_words import places, words
from triptych.ai.nearest import NOBODY, Nearest
from triptych.ai.neighbours import Neighbourhood
from triptych.ai.points import Indices, Points, blocks, find_components, find_points, reduced
from triptych.ai.step import Snapshot
from triptych.ai.steps.look.picture_kinds import KINDS, UNKNOWN

NEIGHBOURS = 5
"""Nearest neighbours whose mean cosine measures how well a picture fits its brand."""
POINTS_MIN = 12
"""Least number of pictures to call any of them unlike the others."""
FAR = 3.5
"""Modified z-score below the brand's median, in scaled median absolute deviations, from which a
picture is off brand (Iglewicz and Hoaglin, 1993)."""
DEVIATION = 1.4826
"""Scales a median absolute deviation to a standard deviation."""
DEVIATION_MIN = 0.01
"""Least deviation, as a cosine: if a brand's pictures are all equally alike, tiny differences mean
nothing."""
SCORE_MIN = 0.5
OUTLIERS_MAX = 50
"""The most outliers in a result, farthest first; all are marked and counted."""
RARE = 0.1
"""Share of a brand's pictures below which a kind is given as a reason."""
RARE_COLOUR = 0.02
"""Share of a brand's colours below which a colour is given as a reason, in a picture with…"""
MOSTLY = 0.3
"""…at least this share of it."""
SHAPE_FACTOR = 1.5
BLOCK_ROWS = 512


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """How well each asset fits its brand."""

    cosines: npt.NDArray[np.float64]
    """(n,): mean cosine with its nearest neighbours; NaN where there is no embedding."""
    scores: npt.NDArray[np.float64]
    """(n,): 0..1, at least `SCORE_MIN` if off brand; NaN where there is no embedding."""
    usual: float
    """The median of ``cosines``."""


def find_likeness(snapshot: Snapshot, progress: Callable[[float], None]) -> Likeness | None:
    """Return how well each asset fits its brand; None if the brand is too small to judge."""
    points = find_points(snapshot)
    if len(points) < POINTS_MIN:
        return None
    small = reduced(snapshot, points, find_components(snapshot, points))
    nearest = Neighbourhood(small).among(NEIGHBOURS, progress)
    cosines = _cosines(snapshot, points, nearest)
    usual = float(np.median(cosines))
    deviation = DEVIATION * float(np.median(np.abs(cosines - usual)))
    far = np.maximum((usual - cosines) / max(deviation, DEVIATION_MIN), 0)
    scores = far / (far + FAR)
    point_of = points.of_assets(len(snapshot))
    there = point_of >= 0
    return Likeness(
        np.where(there, cosines[point_of], np.nan), np.where(there, scores[point_of], np.nan), usual
    )


def describe(snapshot: Snapshot, likeness: Likeness, kinds: Indices) -> list[dict[str, Any]]:
    """Return the off-brand assets, farthest first: {key, score, why: [text, …]}."""
    off = np.flatnonzero(likeness.scores >= SCORE_MIN)
    keys = snapshot.keys[off].view(f"S{snapshot.keys.shape[1]}").ravel()
    shown = off[np.lexsort((keys, -likeness.scores[off]))][:OUTLIERS_MAX]
    reasons = _Reasons(snapshot, likeness, kinds)
    return [
        {
            "key": snapshot.key(asset),
            "score": round(float(likeness.scores[asset]), 3),
            "why": reasons.of(asset),
        }
        for asset in shown.tolist()
    ]


def _cosines(snapshot: Snapshot, points: Points, nearest: Nearest) -> npt.NDArray[np.float64]:
    """Return each point's mean cosine with its neighbours, in the full embedding space.

    The reduced space serves only to find neighbours: it leaves out what the brand has in common,
    which is just what an off-brand picture lacks.
    """
    cosines = np.zeros(len(points))
    for block in blocks(len(points), BLOCK_ROWS):
        own = snapshot.embeddings[points.rows[block]].astype(np.float32)
        near = nearest.indices[block]
        there = near != NOBODY
        others = snapshot.embeddings[points.rows[np.maximum(near, 0)]].astype(np.float32)
        each = np.einsum("nd,nkd->nk", own, others)
        cosines[block] = (each * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return cosines


class _Reasons:
    """Explains by visible features why pictures are off brand."""

    def __init__(self, snapshot: Snapshot, likeness: Likeness, kinds: Indices) -> None:
        self._snapshot = snapshot
        self._likeness = likeness
        self._kinds = kinds
        known = kinds[kinds != UNKNOWN]
        self._kind_shares = np.bincount(known, minlength=len(KINDS)) / max(known.size, 1)
        ratios = snapshot.widths / np.maximum(snapshot.heights, 1)
        self._ratios = ratios
        self._narrow, self._wide = np.quantile(ratios, [0.01, 0.99])
        self._colours: dict[str, float] = {}
        flat = [colour for each in snapshot.colours for colour in each]
        total = sum(colour.share for colour in flat) or 1.0
        for start in range(0, len(flat), 10_000):
            part = flat[start : start + 10_000]
            names = words(places([colour.rgb for colour in part]))
            for word, colour in zip(names, part, strict=True):
                self._colours[word] = self._colours.get(word, 0) + colour.share / total

    def of(self, asset: int) -> list[str]:
        own_cosine, usual = self._likeness.cosines[asset], self._likeness.usual
        found = [
            f"a cosine of {own_cosine:.2f} with the pictures nearest it, where {usual:.2f} is usual"
        ]
        kind = self._kinds[asset]
        if kind != UNKNOWN and self._kind_shares[kind] <= RARE:
            most = int(self._kind_shares.argmax())
            found.append(f"a {KINDS[kind]}, where {self._kind_shares[most]:.0%} are {KINDS[most]}s")
        own: dict[str, float] = {}
        colours = self._snapshot.colours[asset]
        for word, colour in zip(words(places([c.rgb for c in colours])), colours, strict=True):
            own[word] = own.get(word, 0) + colour.share
        for word, share in own.items():
            if share >= MOSTLY and self._colours[word] <= RARE_COLOUR:
                found.append(
                    f"{share:.0%} {word}, which is {self._colours[word]:.1%} of the brand's colours"
                )
        ratio = float(self._ratios[asset])
        if ratio > SHAPE_FACTOR * self._wide:
            found.append(f"{ratio:.1f} times as wide as high")
        elif ratio * SHAPE_FACTOR < self._narrow:
            found.append(f"{1 / ratio:.1f} times as high as wide")
        return found
