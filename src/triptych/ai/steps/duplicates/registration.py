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
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from triptych.ai.steps.duplicates.coarse_registration import (
    GRID,
    SIDE_MIN,
    Place,
    detail,
    likeliest,
)
from triptych.ai.steps.duplicates.colour_match import (
    CELLS,
    MATCH,
    Cells,
    ColourMatch,
    match_colours,
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
BESIDE_MAX = 0.03
"""Most that the other picture shows beyond a side whose ground is compared."""
GROUND_MAX = 0.2
"""Most of the ground around a thing, by its size, that is compared with it."""

Bounds = tuple[float, float, float, float]
"""Left, top, right and bottom."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The agreement of two pictures at their best alignment."""

    detail: float
    """Mean squared correlation of the blocks with detail, 0..1; negative correlation counts as
    0."""
    worst: float
    """The same for the tenth of the blocks that agrees least."""
    colours: ColourMatch


NONE = Agreement(0.0, 0.0, MATCH)


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
        shows = np.isfinite(agree)
        return float(agree[shows].mean()) if shows.any() else 0.0

    def compared(self, place: Place) -> Agreement:
        """Return the full agreement at a place."""
        by_block = self._agree(place)
        agree = np.sort(by_block[np.isfinite(by_block)])
        if not agree.size:
            return NONE
        worst = agree[: max(1, agree.size // 10)]
        ours, theirs = self._with_ground(place)
        colours = match_colours(
            _cells(self._part, ours),
            _cells(self._whole, theirs),
            _over(by_block.reshape(PATCH // BLOCK, PATCH // BLOCK), ours),
        )
        return Agreement(float(agree.mean()), float(worst.mean()), colours)

    def _agree(self, place: Place) -> Grey:
        """Return the agreement of each block; NaN where it has no detail."""
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
        agree = np.full(shows.size, np.nan, np.float32)
        agree[shows] = np.einsum("ij,ij->i", ours[shows], theirs[shows]).clip(0, 1) ** 2
        return agree

    def _bounds(self, place: Place) -> tuple[float, float, float, float]:
        width, left, top = place
        return left, top, min(left + width, 1.0), min(top + width / self._ratio, 1.0)

    def _with_ground(self, place: Place) -> tuple[Bounds, Bounds]:
        """Return the overlap in both pictures, with the ground around it that both have.

        A plain ground is cut off like a frame, but it tells whether all of a picture was made
        brighter, or one thing in it is.
        """
        ours, theirs = _margins(self._part), _margins(self._whole)
        inner = self._bounds(place)
        size = inner[2] - inner[0], inner[3] - inner[1]
        beside = (inner[0], inner[1], 1 - inner[2], 1 - inner[3])
        # What is ground in one picture and shown in the other tells nothing.
        room = tuple(
            margin / size[side % 2] if beside[side] < BESIDE_MAX else 0.0
            for side, margin in enumerate(theirs)
        )
        left, top, right, bottom = (
            min(our, their, GROUND_MAX) for our, their in zip(ours, room, strict=True)
        )
        return (-left, -top, 1 + right, 1 + bottom), (
            inner[0] - left * size[0],
            inner[1] - top * size[1],
            inner[2] + right * size[0],
            inner[3] + bottom * size[1],
        )

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


def _over(blocks: Grey, bounds: Bounds) -> Grey:
    """Return the blocks over bounds that include ground, which has no details: NaN."""
    count = len(blocks)
    middles = (np.arange(count) + 0.5) / count
    across = np.floor(count * (bounds[0] + middles * (bounds[2] - bounds[0]))).astype(np.intp)
    down = np.floor(count * (bounds[1] + middles * (bounds[3] - bounds[1]))).astype(np.intp)
    padded = np.pad(blocks, 1, constant_values=np.nan)
    over: Grey = padded[np.ix_(down.clip(-1, count) + 1, across.clip(-1, count) + 1)]
    return over


def _margins(seen: View) -> Bounds:
    """Return the widths of the frame, as shares of the area inside it."""
    left, top, right, bottom = seen.box
    wide, tall = right - left, bottom - top
    return left / wide, top / tall, (1 - right) / wide, (1 - bottom) / tall


def _cells(seen: View, bounds: Bounds) -> Cells:
    """Return the colours within bounds, given as shares of the area inside the frame."""
    left, top, right, bottom = seen.box
    wide, tall = right - left, bottom - top
    shares = (
        max(left + bounds[0] * wide, 0.0),
        max(top + bounds[1] * tall, 0.0),
        min(left + bounds[2] * wide, 1.0),
        min(top + bounds[3] * tall, 1.0),
    )
    luma = _resized(seen.whole, shares)
    blue, red = (_resized(plane, shares) for plane in seen.chroma)
    cells = np.stack([luma + 1.402 * red, luma - 0.344 * blue - 0.714 * red, luma + 1.772 * blue])
    return np.asarray(cells.clip(0, 255), np.float32)


def _resized(plane: npt.NDArray[Any], shares: Bounds) -> Grey:
    left, top, right, bottom = (len(plane) * share for share in shares)
    image = Image.fromarray(plane).resize(
        (CELLS, CELLS), Image.Resampling.BILINEAR, (left, top, right, bottom)
    )
    return np.asarray(image, np.float32)


def _blocks(patch: Grey) -> tuple[Grey, Grey]:
    count = PATCH // BLOCK
    tiles = patch.reshape(count, BLOCK, count, BLOCK).transpose(0, 2, 1, 3)
    blocks = tiles.reshape(count * count, BLOCK * BLOCK)
    blocks = blocks - blocks.mean(axis=1, keepdims=True)
    energy = np.einsum("ij,ij->i", blocks, blocks)
    return blocks / np.sqrt(np.maximum(energy, 1e-6))[:, None], energy / (BLOCK * BLOCK)
