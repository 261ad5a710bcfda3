"""Whether two aligned pictures can have the colours of one picture.

A copy has the colours of its original, places apart that something was laid over: all places are
explained by one edit of the whole, such as another brightness, contrast or white balance. A product
in another colour is not: its ground stays as it is. Nor is a product in grey a grey copy of one in
colour: a grey copy has the grey level that each colour of its original becomes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

CELLS = 24
"""Side of the grid on which colours are compared."""
APART = 13.0
"""Distance of two colours, in levels of 0..255, from which on they contradict each other."""
PLACE_MIN = 4
"""Least cells in one place that contradict: 1 % of a picture, beyond a cell's tolerance for
edges."""
COVERED_AGREE_MAX = 0.3
"""Most agreement of the details of a place for it to count as laid over."""
OUTLINE_SHARE = 0.5
"""A place that was laid over has an outline in one picture only: at most this share of the step in
colour that the other has there."""
OUTLINED_AGREE_MAX = 0.65
"""`COVERED_AGREE_MAX` for such a place: a banner may be half transparent."""
UNCOVERED_AGREE_MIN = 0.4
UNCOVERED_SHARE_MIN = 0.3
"""Least agreement of all other details, and least share of the picture that has them, for anything
to be laid over. A product on plain ground has none around it."""
GREY_CHROMA_MAX = 5.0
"""A picture whose cells have less chroma, one in fifty apart, is grey."""
DARKEST = 0.5
"""Share of `APART` that is as far in black."""
CHROMA_WEIGHT = 1.4
"""Of a chroma difference, against one of luma."""
COLOURED_CHROMA_MIN = 12.0
COLOURED_MIN = PLACE_MIN
"""Least coloured cells that tell whether a grey picture is a copy."""
GREY_APART = 2.2
"""Distance of a grey level from that of a grey copy, for seven in ten of the vivid cells."""
GREY_QUANTILE = 0.7
UNCOVERED_QUANTILE = 0.8
"""And of all cells, of which something may be laid over a few."""
GREY_BEYOND = 10.0
"""`APART` for grey copies: nothing else was changed."""
NEUTRAL_MIN = 29
TINT_MIN = 4.0
"""Least grey cells of a picture, and the chroma that a tinted copy, as in sepia, gives them."""
WHITE = 240
"""White ground may stay white in a tinted copy, so it tells nothing."""
TINT_APART = 4.0
DARK, LIGHT = 20, 250
"""Levels below and above tell nothing of a tint or a cast."""
MIDDLING = 40.0
TINTED_MIN = 0.9
"""Least share of the cells above that level that are tinted."""
TINT_SPREAD = 2.5
"""Most by which the tint, against the level, differs between places."""
HUE_MAX = 0.25
"""Most by which a tint's hue changes with the level, as the tangent of an angle."""
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], np.float32)
"""The matrix by which editors and style sheets make sepia."""
CAST_MAX = 1.18
"""Most by which a white balance raises or lowers a channel."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""BT.601, as in JPEG."""
GREYS = np.array([LUMA, [0.2126, 0.7152, 0.0722], [1 / 3, 1 / 3, 1 / 3]], np.float32)
"""Weights by which editors make grey: BT.601, BT.709, the mean."""

Cells = npt.NDArray[np.float32]
"""(3, `CELLS`, `CELLS`), red, green and blue, 0..255."""
Mask = npt.NDArray[np.bool_]
Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ColourMatch:
    """How the colours of two aligned pictures go together."""

    contradict: bool
    """They cannot be one picture."""
    distance: float
    """Levels between the two after the edit that fits best. It tells which of several pictures is
    the nearest, not whether one is near."""


MATCH = ColourMatch(False, 0.0)
OTHER = ColourMatch(True, 0.0)


def match_colours(first: Cells, second: Cells, agree: Plane) -> ColourMatch:
    """Compare the colours of two pictures, cell by cell, where they overlap. Symmetric.

    Args:
        first: the cells of the one.
        second: those of the other, at the same places.
        agree: the agreement of the details of square blocks of cells, 0..1; NaN where there are
            none.
    """
    pairs = ((first, second), (second, first))
    grey = _one_grey(first, second)
    found = [_explained(first[None], second, agree)]
    if found[0] is None:
        # A white balance makes grey coloured; other edits do not.
        edits = _cast if grey else _edits
        found = [_explained(edits(one, other), other, agree) for one, other in pairs]
    elif grey:
        return _as_grey(first, second, agree)
    distances = [distance for distance in found if distance is not None]
    if distances:
        return ColourMatch(False, min(distances))
    if grey and not (match := _as_grey(first, second, agree)).contradict:
        return match
    return _likeliest(_as_tint(one, other, agree) for one, other in pairs)


def _edits(cells: Cells, towards: Cells) -> npt.NDArray[np.float32]:
    """Return the cells after each edit of the whole that keeps a picture the same: (n, 3, …)."""
    white = np.minimum(cells, towards).min(axis=0) >= LIGHT
    tones = TONES if white.mean() < WHITE_GROUND else MILD_TONES
    toned = tones[:, np.clip(np.rint(cells), 0, 255).astype(np.intp)]
    grey = np.tensordot(LUMA, cells, 1)
    saturated = np.stack([grey + factor * (cells - grey) for factor in SATURATIONS])
    contrasts = [
        pivot + (cells - pivot) * gain for pivot in (128.0, grey.mean()) for gain in CURVE_STEPS
    ]
    made = np.concatenate([saturated, contrasts]).clip(0, 255)
    return np.concatenate([toned, made, _cast(cells, towards)])


def _cast(cells: Cells, towards: Cells) -> npt.NDArray[np.float32]:
    """Return the cells in the white balance of others: (1, 3, …)."""
    usable = cells.min(axis=0) > DARK
    usable &= np.maximum(cells, towards).max(axis=0) < LIGHT
    if usable.sum() < PLACE_MIN:
        return cells[None]
    ratio = np.median(towards[:, usable] / cells[:, usable], axis=1)
    made: npt.NDArray[np.float32] = cells * ratio.clip(1 / CAST_MAX, CAST_MAX)[:, None, None]
    return made[None].clip(0, 255)


TONE_STEPS = np.geomspace(0.71, 1.42, 24, dtype=np.float32)
"""Of a brightness, 3 % apart. Further than that, a grey product may be one in white or black."""
CURVE_STEPS = np.geomspace(0.78, 1.29, 10, dtype=np.float32)
"""Of a contrast or a gamma, and of a brightness on white ground, which stays as it is."""
WHITE_GROUND = 0.15
"""Least share of the cells that are white in both pictures."""


def _tones(steps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return tables of the tones that an editor may give a picture: (n, 256)."""
    level = np.arange(256, dtype=np.float32)
    tables = [level * gain for gain in steps]
    tables += [255 * (level / 255) ** gamma for gamma in CURVE_STEPS]
    tables += [level + offset for offset in (-20, -10, 10, 20)]
    return np.stack(tables).clip(0, 255).astype(np.float32)


TONES, MILD_TONES = _tones(TONE_STEPS), _tones(CURVE_STEPS)
SATURATIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.15, 1.3, 1.45, 1.6, 1.8)


def _explained(edited: npt.NDArray[np.float32], wanted: Cells, agree: Plane) -> float | None:
    """Return the distance of the best of some edits from the wanted cells.

    None if it does not give them, covered places apart.
    """
    apart = np.sqrt(((_planes(edited) - _planes(wanted)) ** 2).sum(axis=1))
    distances = np.minimum(apart, 2 * APART).mean(axis=(1, 2))
    best = int(distances.argmin())
    if _contradicts(edited[best], wanted, agree, APART):
        return None
    return float(distances[best])


def _planes(cells: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return luma and the two chroma differences, on a scale of equal visible differences."""
    luma = np.einsum("c,...cij->...ij", LUMA, cells)
    blue = CHROMA_WEIGHT * 0.564 * (cells[..., 2, :, :] - luma)
    red = CHROMA_WEIGHT * 0.713 * (cells[..., 0, :, :] - luma)
    return np.stack([luma, blue, red], axis=-3)


def _beyond(some: Cells, wanted: Cells) -> Plane:
    """Return how far each cell is from the colours of the other picture in and around it.

    Edges need not lie exactly, and one picture may be the more blurred: whichever of the two is
    nearer to what surrounds it in the other counts.
    """
    ours, theirs = _planes(some), _planes(wanted)
    around = (1, 3, 3)
    beyond = []
    for one, other in ((ours, theirs), (theirs, ours)):
        low = ndimage.minimum_filter(other, around, mode="nearest")
        high = ndimage.maximum_filter(other, around, mode="nearest")
        beyond.append(np.sqrt((np.maximum(low - one, one - high).clip(0) ** 2).sum(axis=0)))
    # A step of some levels shows more in the dark.
    dark = (DARKEST + np.minimum(ours[0], theirs[0]) / 200).clip(DARKEST, 1)
    return np.asarray(np.minimum(*beyond) / dark, np.float32)


def _contradicts(one: Cells, other: Cells, agree: Plane, most: float) -> bool:
    """Return whether cells in one place are too far apart and nothing was laid over them."""
    apart = _beyond(one, other)
    # The outermost cells may show what is left of a frame.
    labels, count = ndimage.label(np.pad(apart[1:-1, 1:-1] > most, 1))
    if not count:
        return False
    for place in range(1, count + 1):
        cells = labels == place
        if cells.sum() < PLACE_MIN:
            continue
        if not _covered(cells, labels > 0, agree, _outlined(cells, one, other)):
            return True
    return False


def _outlined(place: Mask, one: Cells, other: Cells) -> bool:
    """Return whether a place has an outline in one of two pictures only.

    A thing in another colour has its outline in both; what is laid over a picture, in one.
    """
    ring = ndimage.binary_dilation(place, iterations=2) & ~ndimage.binary_dilation(place)
    if not ring.any():
        return False
    inner = place & ~ndimage.binary_erosion(place, iterations=2, border_value=1)
    nearest = ndimage.distance_transform_edt(~inner, return_distances=False, return_indices=True)
    across, along = (axis[ring] for axis in nearest)
    steps = []
    for planes in (_planes(one), _planes(other)):
        step = planes[:, ring] - planes[:, across, along]
        steps.append(float(np.median(np.sqrt((step**2).sum(axis=0)))))
    return min(steps) < OUTLINE_SHARE * max(steps) and max(steps) > APART


def _covered(place: Mask, others: Mask, agree: Plane, outlined: bool) -> bool:
    """Return whether something was laid over a place: its details differ, and no others do."""
    count, shows = len(agree), np.isfinite(agree)
    tiled = (count, CELLS // count, count, CELLS // count)
    share = place.reshape(tiled).mean(axis=(1, 3))
    inside = shows & (share > 0)
    outside = shows & ~others.reshape(tiled).any(axis=(1, 3))
    if outside.sum() < UNCOVERED_SHARE_MIN * agree.size:
        return False
    if agree[outside].mean() < UNCOVERED_AGREE_MIN:
        return False
    if not inside.any():
        return outlined
    details = np.average(agree[inside], weights=share[inside])
    return bool(details < (OUTLINED_AGREE_MAX if outlined else COVERED_AGREE_MAX))


def _chroma(cells: Cells) -> Plane:
    luma = np.tensordot(LUMA, cells, 1)
    return np.asarray(np.hypot(0.564 * (cells[2] - luma), 0.713 * (cells[0] - luma)), np.float32)


def _grey(chroma: Plane) -> bool:
    return bool(np.quantile(chroma, 0.98) < GREY_CHROMA_MAX)


def _one_grey(first: Cells, second: Cells) -> bool:
    ours, theirs = _chroma(first), _chroma(second)
    if _grey(ours) == _grey(theirs):
        return False
    return int((np.maximum(ours, theirs) > COLOURED_CHROMA_MIN).sum()) >= COLOURED_MIN


def _as_grey(first: Cells, second: Cells, agree: Plane) -> ColourMatch:
    """Compare a grey picture with the greys that the other becomes."""
    coloured, grey = (second, first) if _grey(_chroma(first)) else (first, second)
    level = np.tensordot(LUMA, grey, 1)
    chroma = _chroma(coloured)
    # The most vivid places: a tinge of the ground tells little.
    tells = chroma > chroma.max() / 2
    return _as_level(_greys(coloured), level, tells, GREY_APART, agree)


def _as_level(
    made: Sequence[Plane], level: Plane, tells: Mask, most: float, agree: Plane
) -> ColourMatch:
    """Compare grey levels with those that editors make, everywhere and where it ``tells``."""
    aparts = [np.abs(ndimage.uniform_filter(one - level, 3, mode="nearest")) for one in made]
    # Edges need not lie exactly: the flatter half tells more.
    steps = ndimage.maximum_filter(level, 3) - ndimage.minimum_filter(level, 3)
    flat = tells & (steps <= np.median(steps[tells]))
    distances = [float(np.quantile(apart[flat], GREY_QUANTILE)) for apart in aparts]
    best = int(np.argmin(distances))
    still = aparts[best][steps <= np.median(steps)]
    everywhere = float(np.quantile(still, UNCOVERED_QUANTILE))
    greys = np.stack([made[best]] * 3), np.stack([level] * 3)
    contradict = max(distances[best], everywhere) > most or _contradicts(*greys, agree, GREY_BEYOND)
    return ColourMatch(contradict, distances[best])


def _greys(cells: Cells) -> list[Plane]:
    """Return the grey levels that editors make of colours."""
    weighted = [np.tensordot(weights, cells, 1) for weights in GREYS]
    return [*weighted, (cells.max(axis=0) + cells.min(axis=0)) / 2]


def _as_tint(coloured: Cells, tinted: Cells, agree: Plane) -> ColourMatch:
    """Compare a picture in shades of one colour, as sepia, with the greys of the other.

    What was grey must be tinted, too: else one thing in the picture has another colour.
    """
    neutral = (_chroma(coloured) < GREY_CHROMA_MAX) & (coloured.min(axis=0) > DARK)
    neutral &= coloured.max(axis=0) < WHITE
    clear = (tinted.max(axis=0) < LIGHT) & (coloured.min(axis=0) > DARK)
    level = np.tensordot(LUMA, tinted, 1)
    chroma = np.stack([0.564 * (tinted[2] - level), 0.713 * (tinted[0] - level)])
    if min(neutral.sum(), clear.sum()) < NEUTRAL_MIN:
        return OTHER
    tint = chroma[:, clear].sum(axis=1)
    tint /= max(float(np.hypot(*tint)), 1e-6)
    along = np.tensordot(tint, chroma, 1)
    across = np.abs(tint[0] * chroma[1] - tint[1] * chroma[0])
    tinted_all = np.quantile(along[neutral], 0.2) > TINT_MIN
    one_hue = np.quantile((across - HUE_MAX * along)[clear], 0.95) < TINT_MIN
    middling = clear & (level > MIDDLING)
    if not (tinted_all and one_hue and (along[middling] > TINT_MIN).mean() > TINTED_MIN):
        return OTHER
    low, high = np.quantile(along[middling] / level[middling], (0.1, 0.9))
    if high > TINT_SPREAD * low:
        return OTHER
    toned = np.tensordot(LUMA, np.tensordot(SEPIA, coloured, 1).clip(0, 255), 1)
    every = np.ones(level.shape, np.bool_)
    return _as_level([*_greys(coloured), toned], level, every, TINT_APART, agree)


def _likeliest(matches: Iterable[ColourMatch]) -> ColourMatch:
    return min(matches, key=lambda match: (match.contradict, match.distance))
