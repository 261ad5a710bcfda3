"""What is measured of a picture's pixels without any model: its style, and its technical quality.

Style is measured on a small copy, quality on pixels of the picture's own size. The figures say
nothing by themselves: `triptych.ai.steps.look.treatments` and `triptych.features.picture_quality`
decide, by limits that were measured (docs/insights.md, rooms `treatments` and `quality`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from triptych.media.colours import oklab
from triptych.media.file_facts import Quality, Style

STYLE_SIDE = 96
"""Of the small copy, both sides."""
PERCEPTUAL = 100
"""OKLab is taken times this, so that a just noticeable difference is about 2."""
EDGE = 2
"""Pixels of the small copy that are its border."""
SAME = 5.0
"""Distance below which two colours of a frame or a ground count as one."""
OTHER = 12.0
"""Distance from which what lies inside a frame is of another colour."""
FRAME_DEPTHS = range(2, 15)
"""Widths of a frame in pixels of the small copy: 2 to 15 % of a side."""
FRAME_SHARE = 0.9
"""Of the pixels along each side that must be of the frame's colour."""
INSIDE_SHARE = 0.75
"""Of those inside it that must be of another: a picture may have some of its frame's colour."""
BADGE_CHROMA = 17.0
"""Least chroma of a badge; pure red has 26."""
BADGE_BOX = STYLE_SIDE // 3
"""Side of the corner in which a badge is looked for."""
LEVELS = 16
"""Of lightness, among which the colours of a duotone are each the same."""
TILE = 128
TILES_MAX = 64
"""Tiles in which sharpness is measured, spread evenly over the picture: a million pixels."""
CONTRAST_MIN = 3.0
"""Deviation of a tile's coarser detail, of 255 levels, below which it is too plain to judge."""
BLOCK = 8
"""Side of the blocks that JPEG compresses."""
BLOCKS_SIDE_MAX = 2_048
"""Sides of the middle part in which edges of blocks are looked for."""
BLOCK_STEP_MAX = 12.0
"""Of 255 levels: larger steps count as this."""
SIDE_MIN = 32
"""Least side of a picture whose quality is measured, in pixels."""
STEP_MIN = 0.25
"""Mean step between neighbouring pixels, of 255 levels, below which a picture is plain."""
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
DIGITS = 3

Floats = npt.NDArray[np.float32]


def style_of(small: Image.Image) -> Style:
    """Return the style of a picture.

    Args:
        small: RGB in sRGB, `STYLE_SIDE` both sides.
    """
    colour = np.asarray(PERCEPTUAL * oklab(np.asarray(small, np.float64)), np.float32)
    flat = colour.reshape(-1, 3)
    chroma = np.hypot(flat[:, 1], flat[:, 2])
    border = _ring(colour, 0, EDGE)
    middle = np.median(border, axis=0)
    away = np.linalg.norm(flat - middle, axis=1)
    frame, frame_chroma = _frame(colour)
    mean, spread = flat.mean(axis=0), flat.std(axis=0)
    return Style(
        lightness=_rounded(mean[0]),
        green_red=_rounded(mean[1]),
        blue_yellow=_rounded(mean[2]),
        lightness_spread=_rounded(spread[0]),
        green_red_spread=_rounded(spread[1]),
        blue_yellow_spread=_rounded(spread[2]),
        chroma=_rounded(chroma.mean()),
        chroma_high=_rounded(np.quantile(chroma, 0.9)),
        border=_rounded(np.linalg.norm(border - middle, axis=1).mean()),
        border_lightness=_rounded(middle[0]),
        border_chroma=_rounded(np.hypot(middle[1], middle[2])),
        ground=_rounded((away <= SAME).mean()),
        tones=_rounded(_tones(flat)),
        frame=_rounded(frame),
        frame_chroma=_rounded(frame_chroma),
        badge=_rounded(_badge(colour)),
    )


def quality_of(grey: Image.Image) -> Quality:
    """Return the quality of a picture of its own size, as "L"."""
    if min(grey.size) < SIDE_MIN:
        return Quality(None, None)
    found = [each for tile in _tiles(grey) if (each := _detail(tile)) is not None]
    blocks = _blocks(_middle(grey))
    return Quality(
        detail=_rounded(max(found)) if found else None,
        blocks=None if blocks is None else _rounded(blocks),
    )


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), DIGITS)


def _ring(colour: Floats, start: int, stop: int) -> Floats:
    """Return the pixels from ``start`` to ``stop`` from the edge, (n, 3)."""
    size = len(colour)
    ring = np.zeros(colour.shape[:2], bool)
    ring[start : size - start, start : size - start] = True
    ring[stop : size - stop, stop : size - stop] = False
    return colour[ring]


def _tones(flat: Floats) -> float:
    """Return how far colours are from the mean colour of their level of lightness."""
    low, high = float(flat[:, 0].min()), float(flat[:, 0].max())
    level = ((flat[:, 0] - low) * (LEVELS - 1e-3) / max(high - low, 1e-6)).astype(np.intp)
    counts = np.maximum(np.bincount(level, minlength=LEVELS), 1)
    means = [np.bincount(level, flat[:, part], LEVELS) / counts for part in (1, 2)]
    apart = [flat[:, part] - mean[level] for part, mean in zip((1, 2), means, strict=True)]
    return float(np.sqrt(np.mean(apart[0] ** 2 + apart[1] ** 2)))


def _frame(colour: Floats) -> tuple[float, float]:
    """Return a plain frame's width, as a share of the side, and its chroma; 0 if there is none.

    Along each side nearly every pixel outside is of one colour, and most inside are of another. The
    small copy is a square, so that two sides may be wider than the others.
    """
    middle = np.median(_ring(colour, 0, 1), axis=0)
    away = np.linalg.norm(colour - middle, axis=2)
    depths = [_depth(side) for side in (away, away[::-1], away.T, away.T[::-1])]
    if 0 in depths:
        return 0.0, 0.0
    return float(np.mean(depths)) / len(colour), float(np.hypot(middle[1], middle[2]))


def _depth(away: Floats) -> int:
    """Return how many rows from the top are of a frame; 0 if there is none."""
    inner = slice(FRAME_DEPTHS.stop, -FRAME_DEPTHS.stop)
    for depth in FRAME_DEPTHS:
        if float((away[: depth - 1] <= SAME).mean()) < FRAME_SHARE:
            return 0
        # A pixel between the two is mixed of both.
        if float((away[depth + 1, inner] >= OTHER).mean()) >= INSIDE_SHARE:
            return depth
    return 0


def _badge(colour: Floats) -> float:
    """Return the largest share of a corner that is of one strong colour and not of the rest."""
    chroma = np.hypot(colour[..., 1], colour[..., 2])
    found = 0.0
    for rows in (slice(0, BADGE_BOX), slice(-BADGE_BOX, None)):
        for columns in (slice(0, BADGE_BOX), slice(-BADGE_BOX, None)):
            strong = colour[rows, columns][chroma[rows, columns] >= BADGE_CHROMA]
            if len(strong) < BADGE_BOX:
                continue
            like = np.linalg.norm(colour - np.median(strong, axis=0), axis=2) <= SAME
            within = int(like[rows, columns].sum())
            rest = int(like.sum()) - within
            if rest * 4 <= within:
                found = max(found, within / BADGE_BOX**2)
    return found


def _tiles(grey: Image.Image) -> Iterator[Floats]:
    """Yield tiles spread evenly over the picture; a small picture is one or few."""
    across, down = max(1, grey.width // TILE), max(1, grey.height // TILE)
    step = max(1, -(-across * down // TILES_MAX))
    for number in range(0, across * down, step):
        top, left = number // across * TILE, number % across * TILE
        box = (left, top, min(left + TILE, grey.width), min(top + TILE, grey.height))
        yield np.asarray(grey.crop(box), np.float32)


def _detail(tile: Floats) -> float | None:
    """Return the deviation of the finest octave relative to that two octaves below it.

    The bands of a Laplacian pyramid (Burt and Adelson, 1983). In natural pictures they are of
    about the same size (Field, 1987); blur and enlargement take the finest away.
    """
    first = _smoothed(tile)
    second = first[::2, ::2]
    third = _smoothed(second)
    coarse = third[::2, ::2]
    fourth = _smoothed(coarse)
    contrast = (
        float((coarse[2:-2, 2:-2] - fourth[2:-2, 2:-2]).std()) if min(coarse.shape) > 6 else 0
    )
    if contrast < CONTRAST_MIN:
        return None
    return float((tile[2:-2, 2:-2] - first[2:-2, 2:-2]).std()) / contrast


def _smoothed(values: Floats) -> Floats:
    padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
    down = sum(weight * padded[at : at + len(values)] for at, weight in enumerate(BINOMIAL))
    padded = np.pad(down, ((0, 0), (2, 2)), mode="edge")
    width = values.shape[1]
    return np.asarray(
        sum(weight * padded[:, at : at + width] for at, weight in enumerate(BINOMIAL)), np.float32
    )


def _middle(grey: Image.Image) -> Floats:
    left, top = (max(0, side - BLOCKS_SIDE_MAX) // 2 for side in grey.size)
    box = (
        left,
        top,
        min(grey.width, left + BLOCKS_SIDE_MAX),
        min(grey.height, top + BLOCKS_SIDE_MAX),
    )
    return np.asarray(grey.crop(box), np.float32)


def _blocks(values: Floats) -> float | None:
    """Return how much larger steps are at every eighth pixel than elsewhere, in both directions.

    As Wang, Sheikh and Bovik (2002) measure blockiness, but at whichever of the eight places has
    the largest steps: a crop moves the blocks.
    """
    found = []
    for turned in (values, values.T):
        # Real edges are larger than a block's, and would count for more.
        steps = np.minimum(np.abs(np.diff(turned, axis=1)), BLOCK_STEP_MAX).mean(axis=0)
        whole = len(steps) // BLOCK * BLOCK
        if not whole:
            return None
        by_place = np.sort(steps[:whole].reshape(-1, BLOCK).mean(axis=0))
        if by_place.mean() < STEP_MIN:
            return None
        found.append(float(by_place[-1] / max(by_place[:-1].mean(), STEP_MIN / BLOCK)))
    return min(found)
