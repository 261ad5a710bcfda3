"""Where one small picture may lie in another: a coarse cross-correlation at every place.

The part is scaled from 1 down to about a half; all scales are stacked and padded to the grid, and
correlated by Fourier transforms. A picture's transforms are kept as long as its view, since
it appears in several pairs, mostly of one shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import fft

from triptych.ai.steps.duplicates.views import Grey, View

GRID = 32
"""Side of the grid, in cells."""
DETAIL_SIGMA = 3.0
"""Standard deviation, in samples, of the Gaussian blur that is subtracted from a grid or patch."""
NOISE = 1e-3
SCALES = 1.05 ** -np.arange(0.0, 16.0)
AREA_MIN = 0.25
"""Least area of a part as a share of the picture: a crop to 60 % of each side has .36."""
SIDE_MIN = 6
"""Least side of a part, in cells of the grid."""
PEAKS = 2
"""The most places that are returned, each at another scale."""
SHAPES = 256
"""Shapes of parts whose matrices are cached, some 100 kB each."""

Place = tuple[float, float, float]
"""Position of a part: its width, left and top, as shares of the whole."""
Sizes = tuple[tuple[int, int], ...]
"""Rows and columns of a part at each scale, in cells."""
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    spectra: npt.NDArray[np.complex64]
    """(scales, …), conjugate."""
    energy: Grey


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    spectrum: npt.NDArray[np.complex64]
    sums: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    """Integral images of the grid, flattened."""


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Every place at every scale, in one sequence."""

    starts: Indices
    """The first place of each scale."""
    scale: Indices
    top: Indices
    left: Indices
    area: Indices
    product: Indices
    """The index of its product among those of all scales."""
    corners: tuple[Indices, Indices, Indices, Indices]
    """Indices in an integral image: bottom right, top left, top right, bottom left."""


_parts: WeakKeyDictionary[View, tuple[Sizes, _Part]] = WeakKeyDictionary()
_wholes: WeakKeyDictionary[View, _Whole] = WeakKeyDictionary()


def likeliest(part: View, whole: View) -> list[Place]:
    """Return the places of highest correlation, at most one per scale, best first."""
    sizes = _sizes(part.aspect / whole.aspect)
    if not sizes:
        return []
    ours, theirs, places = _part(part, sizes), _whole(whole), _places(sizes)
    # The correlation theorem: one inverse transform per scale replaces a loop over places.
    products = fft.irfft2(theirs.spectrum * ours.spectra, s=(GRID, GRID))
    sums = _in_windows(theirs.sums, places)
    variance = _in_windows(theirs.squares, places) - sums**2 / places.area
    # A floor for the variance, so that flat windows do not divide by almost zero.
    least = NOISE * places.area
    energy = np.maximum(variance, least) * np.maximum(ours.energy[places.scale], least)
    correlation = products.ravel()[places.product] / np.sqrt(energy)
    best = np.maximum.reduceat(correlation, places.starts)
    found = []
    for scale in np.argsort(-best, kind="stable")[:PEAKS]:
        start = places.starts[scale]
        at = start + int((correlation[start:] == best[scale]).argmax())
        width = sizes[scale][1] / GRID
        found.append((width, float(places.left[at]) / GRID, float(places.top[at]) / GRID))
    return found


def detail(grey: Grey) -> Grey:
    """Subtract the blurred picture, which leaves the details."""
    smooth = blur(grey.shape[0]) @ grey @ blur(grey.shape[1]).T
    return (grey - smooth).astype(np.float32, copy=False)


@lru_cache(maxsize=64)
def blur(side: int) -> Grey:
    """Return the matrix that blurs ``side`` samples; at the ends, over the samples there are."""
    at = np.arange(side, dtype=np.float32)
    weights = np.exp(-((at[:, None] - at[None, :]) ** 2) / (2 * DETAIL_SIGMA**2))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def _sizes(ratio: float) -> Sizes:
    """Return the sizes at which a part may lie in a whole of ``1 / ratio`` times its aspect."""
    found: dict[tuple[int, int], None] = {}
    for scale in SCALES:
        wide, tall = scale * min(1.0, ratio), scale * min(1.0, 1 / ratio)
        size = (round(tall * GRID), round(wide * GRID))
        if wide * tall < AREA_MIN or min(size) < SIDE_MIN:
            break
        found[size] = None
    return tuple(found)


def _part(view: View, sizes: Sizes) -> _Part:
    kept = _parts.get(view)
    if kept is None or kept[0] != sizes:
        kept = _parts[view] = (sizes, _as_part(view.inside, sizes))
    return kept[1]


def _as_part(inside: Grey, sizes: Sizes) -> _Part:
    talls, wides = zip(*sizes, strict=True)
    rows = _shrinking(inside.shape[0], talls)
    columns = _shrinking(inside.shape[1], wides).transpose(0, 2, 1)
    shrunk = rows @ (inside @ columns)
    details = shrunk - _blurs(talls) @ shrunk @ _blurs(wides).transpose(0, 2, 1)
    area = np.array([tall * wide for tall, wide in sizes], np.float32)
    details -= (details.sum(axis=(1, 2)) / area)[:, None, None]
    for number, (tall, wide) in enumerate(sizes):
        details[number, tall:] = 0
        details[number, :, wide:] = 0
    spectra = np.conj(fft.rfft2(details))
    return _Part(spectra, np.einsum("ijk,ijk->i", details, details))


def _whole(view: View) -> _Whole:
    kept = _wholes.get(view)
    if kept is None:
        rows, columns = (_shrinking(side, (GRID,))[0] for side in view.inside.shape)
        grid = detail(rows @ view.inside @ columns.T)
        kept = _Whole(fft.rfft2(grid), _integral(grid), _integral(grid * grid))
        _wholes[view] = kept
    return kept


@lru_cache(maxsize=SHAPES)
def _shrinking(side: int, sides: tuple[int, ...]) -> Grey:
    """Return the matrices that resample ``side`` samples to ``sides``, padded to the grid."""
    every = Image.fromarray(np.eye(side, dtype=np.float32))
    stack = np.zeros((len(sides), GRID, side), np.float32)
    for number, to in enumerate(sides):
        stack[number, :to] = np.asarray(every.resize((side, to), Image.Resampling.BILINEAR))
    return stack


@lru_cache(maxsize=SHAPES)
def _blurs(sides: Sequence[int]) -> Grey:
    stack = np.zeros((len(sides), GRID, GRID), np.float32)
    for number, side in enumerate(sides):
        stack[number, :side, :side] = blur(side)
    return stack


@lru_cache(maxsize=SHAPES)
def _places(sizes: Sizes) -> _Places:
    scale, top, left = (
        np.concatenate(part)
        for part in zip(
            *(
                (np.full(across.size, number), down.ravel(), across.ravel())
                for number, (tall, wide) in enumerate(sizes)
                for down, across in [np.mgrid[: GRID - tall + 1, : GRID - wide + 1]]
            ),
            strict=True,
        )
    )
    tall, wide = np.array(sizes)[scale].T
    width = GRID + 1

    def corner(row: Indices, column: Indices) -> Indices:
        return row * width + column

    return _Places(
        np.searchsorted(scale, np.arange(len(sizes))),
        scale,
        top,
        left,
        tall * wide,
        (scale * GRID + top) * GRID + left,  # Index into the flattened products.
        (
            corner(top + tall, left + wide),
            corner(top, left),
            corner(top, left + wide),
            corner(top + tall, left),
        ),
    )


def _integral(grid: Grey) -> npt.NDArray[np.float64]:
    whole = np.zeros((GRID + 1, GRID + 1))
    whole[1:, 1:] = grid.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    return whole.ravel()


def _in_windows(integral: npt.NDArray[np.float64], places: _Places) -> npt.NDArray[np.float64]:
    """Return the sum over the window at every place, from the integral image."""
    last, first, right, below = (integral[corner] for corner in places.corners)
    return np.asarray(last + first - right - below)
