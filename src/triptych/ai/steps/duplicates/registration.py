"""Image registration: how one small picture lies in another, and how well the overlap agrees.

The pictures are aligned first, as wholes and with either as a part of the other, at scales from 1
down to about a half. A coarse grid gives the places of highest correlation (by Fourier transforms),
which are then refined step by step. The overlap is compared in blocks after subtracting a blur.
Blocks are independent, so an overlay spoils only those it covers; skies and other gradients,
which are all alike, do not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from triptych.ai.steps.duplicates.coarse_registration import (
    GRID,
    SIDE_MIN,
    Place,
    detail,
    likeliest,
)
from triptych.ai.steps.duplicates.views import Grey, View

PATCH = 48
"""Side in pixels of the patch that is compared in blocks."""
BLOCK = 8
NOISE_VARIANCE = 9.0
"""Variance of grey levels: blocks below it in both pictures are ignored as JPEG noise."""
RATIO_MAX = 1.25
"""Largest quotient of two aspect ratios at which pictures are aligned as wholes."""
FINE = 2
MOVES_MAX = 5
STEPS = (1 / GRID, 0.5 / GRID, 0.25 / GRID)
PROMISING = 0.5
"""Least agreement at which the last refinement is worth its time."""
HOPE = 0.12
"""Least agreement of a place to be refined."""
SURE = 0.85
"""Agreement of the wholes at which the search for a better place stops."""
COLOURS = 12
"""Side of the grid on which colours are compared."""
CHROMA_MIN = 8.0
"""Least chroma at which a place counts as coloured."""
TELLING_MIN = 0.05
"""Least share of places that are coloured in both pictures."""
HUE_COSINE_MIN = 0.7


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement of two pictures at their best alignment."""

    detail: float
    """Mean squared correlation of the blocks with detail, 0..1; negative correlation counts as
    0."""
    worst: float
    """The same for the tenth of the blocks that agrees least."""
    colour: float
    """Share of the places coloured in both pictures that have nearly the same hue; 1 where there
    are too few such places."""


NONE = Agreement(0.0, 0.0, 1.0)


def agreement(first: View, second: View, *, parts: bool = True) -> Agreement:
    """Align two pictures and compare their overlap.

    Symmetric except for rounding. Without ``parts`` they are only aligned as wholes, and pictures
    of different shapes do not agree.
    """
    transports = [_Way(first, second), _Way(second, first)]
    wholes = [(number, way.as_wholes()) for number, way in enumerate(transports)]
    starts = [(transports[n].score(place), n, place) for n, place in wholes if place is not None]
    if parts and not any(score >= SURE for score, _, _ in starts):
        for number, way in enumerate(transports):
            starts += [(way.score(place), number, place) for place in way.peaks()]
    starts = sorted((one for one in starts if one[0] >= HOPE), key=lambda start: -start[0])
    ends = [(n, *transports[n].refined(score, place)) for score, n, place in starts[:FINE]]
    if not ends:
        return NONE
    number, _, place = max(ends, key=lambda end: end[1])
    return transports[number].compared(place)


class _Way:
    """One direction of the search: one picture as a part of the other."""

    def __init__(self, part: View, whole: View) -> None:
        self._part = part
        self._whole = whole
        self._image = Image.fromarray(whole.inside)
        self._ratio = part.aspect / whole.aspect
        self._widest = min(1.0, self._ratio)
        patch = Image.fromarray(part.inside).resize((PATCH, PATCH), Image.Resampling.BILINEAR)
        self._ours = _blocks(detail(np.asarray(patch)))

    def as_wholes(self) -> Place | None:
        """Return the place that aligns them as wholes, if they have about the same shape."""
        if not 1 / RATIO_MAX < self._ratio < RATIO_MAX:
            return None
        return self._widest, (1 - self._widest) / 2, (1 - self._widest / self._ratio) / 2

    def score(self, place: Place) -> float:
        """Return the detail agreement with the part at that place."""
        agree = self._agree(place)
        return float(agree.mean()) if agree.size else 0.0

    def compared(self, place: Place) -> Agreement:
        """Return the full agreement at a place."""
        agree = np.sort(self._agree(place))
        if not agree.size:
            return NONE
        worst = agree[: max(1, agree.size // 10)]
        return Agreement(float(agree.mean()), float(worst.mean()), self._colour(place))

    def _agree(self, place: Place) -> Grey:
        """Return the agreement of each block with detail."""
        left, top, right, bottom = self._bounds(place)
        tall, wide = self._whole.inside.shape
        patch = self._image.resize(
            (PATCH, PATCH),
            Image.Resampling.BILINEAR,
            (left * wide, top * tall, right * wide, bottom * tall),
        )
        theirs, their_variance = _blocks(detail(np.asarray(patch)))
        ours, our_variance = self._ours
        shows = np.maximum(our_variance, their_variance) > NOISE_VARIANCE
        agree = np.einsum("ij,ij->i", ours[shows], theirs[shows])
        return np.asarray(agree.clip(0, 1) ** 2, np.float32)

    def _bounds(self, place: Place) -> tuple[float, float, float, float]:
        width, left, top = place
        return left, top, min(left + width, 1.0), min(top + width / self._ratio, 1.0)

    def _colour(self, place: Place) -> float:
        if not (self._part.coloured and self._whole.coloured):
            return 1.0
        ours = _chroma(self._part, (0.0, 0.0, 1.0, 1.0))
        theirs = _chroma(self._whole, self._bounds(place))
        our_length, their_length = np.hypot(*ours), np.hypot(*theirs)
        coloured = np.minimum(our_length, their_length) > CHROMA_MIN
        if coloured.mean() < TELLING_MIN:
            return 1.0
        likeness = (ours * theirs).sum(axis=0)[coloured] / (our_length * their_length)[coloured]
        return float((likeness > HUE_COSINE_MIN).mean())

    def peaks(self) -> list[Place]:
        """Return the likeliest places by correlation on the coarse grid."""
        return [self._held(*place) for place in likeliest(self._part, self._whole)]

    def refined(self, score: float, place: Place) -> tuple[float, Place]:
        """Move the part by ever smaller steps while the agreement improves."""
        for step in STEPS:
            if step < STEPS[-2] and score < PROMISING:
                break
            for _ in range(MOVES_MAX):
                before = score
                for moved in self._moves(place, step):
                    better = self.score(moved)
                    if better > score:
                        score, place = better, moved
                if score == before:
                    break
        return score, place

    def _moves(self, place: Place, step: float) -> Iterator[Place]:
        width, left, top = place
        for right, down in ((step, 0.0), (-step, 0.0), (0.0, step), (0.0, -step)):
            yield self._held(width, left + right, top + down)
        for wider in (step, -step):
            yield self._held(width + wider, left - wider / 2, top - wider / (2 * self._ratio))

    def _held(self, width: float, left: float, top: float) -> Place:
        """Return the nearest place that lies within the whole."""
        width = min(max(width, SIDE_MIN / GRID), self._widest)
        left = min(max(left, 0.0), 1.0 - width)
        return width, left, min(max(top, 0.0), 1.0 - width / self._ratio)


def _chroma(seen: View, bounds: tuple[float, float, float, float]) -> Grey:
    """Return the chroma within bounds, given as shares of the area inside the frame."""
    left, top, right, bottom = seen.box
    wide, tall = right - left, bottom - top
    side = len(seen.chroma[0])
    box = (
        side * (left + bounds[0] * wide),
        side * (top + bounds[1] * tall),
        side * (left + bounds[2] * wide),
        side * (top + bounds[3] * tall),
    )
    planes = [
        Image.fromarray(plane).resize((COLOURS, COLOURS), Image.Resampling.BILINEAR, box)
        for plane in seen.chroma
    ]
    return np.stack([np.asarray(plane) for plane in planes])


def _blocks(patch: Grey) -> tuple[Grey, Grey]:
    count = PATCH // BLOCK
    tiles = patch.reshape(count, BLOCK, count, BLOCK).transpose(0, 2, 1, 3)
    blocks = tiles.reshape(count * count, BLOCK * BLOCK)
    blocks = blocks - blocks.mean(axis=1, keepdims=True)
    energy = np.einsum("ij,ij->i", blocks, blocks)
    return blocks / np.sqrt(np.maximum(energy, 1e-6))[:, None], energy / (BLOCK * BLOCK)
