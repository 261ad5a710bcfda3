"""The dominant colours of a picture, in a perceptually uniform colour space."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from triptych.model import Colour

COLOURS_MAX = 5
SIDE = 48
"""Side of the copy whose pixels are counted: more pixels change no share by a hundredth."""
BIN_BITS = 4
"""Bins per channel, when pixels are counted."""
SEEDS = 24
"""Fullest bins that may become a colour."""
SHARE_MIN = 0.02
JOINED_BELOW = 0.07
"""OKLab distance below which two bins count as one colour: several just noticeable differences."""
OPAQUE = 128
SRGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
LMS_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def dominant(image: Image.Image) -> tuple[Colour, ...]:
    """Return at most `COLOURS_MAX` colours, the largest share first.

    Transparent pixels have no colour, so shares are of the visible pixels; a fully transparent
    picture has none. Pixels of a reduced copy are counted in bins, near bins joined in OKLab.

    Args:
        image: RGB or RGBA.
    """
    visible = _pixels(image)
    if not len(visible):
        return ()
    centres, shares = _bins(visible)
    places = oklab(centres)
    seeds = _apart(places, np.argsort(-shares, kind="stable")[:SEEDS])
    away = _distances(places, places[seeds])
    nearest = away.argmin(axis=1)
    near = away.min(axis=1) < JOINED_BELOW
    totals = np.bincount(nearest[near], shares[near], len(seeds))
    found = [
        Colour(_packed(centres[seed]), round(float(total), 3))
        for seed, total in zip(seeds, totals, strict=True)
        if total >= SHARE_MIN
    ]
    return tuple(sorted(found, key=lambda colour: -colour.share)[:COLOURS_MAX])


def oklab(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return sRGB colours of 0..255, shape (n, 3), in OKLab (Ottosson, 2020).

    Equal distances there look equally large; 1 is about from black to white.
    """
    unit = np.asarray(rgb, np.float64) / 255.0
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.cbrt(linear @ SRGB_TO_LMS.T) @ LMS_TO_OKLAB.T)


def sample(image: Image.Image) -> Image.Image:
    """Return the small copy whose pixels `dominant` counts."""
    # Nearest: averaging would invent colours between the existing ones.
    size = (min(SIDE, image.width), min(SIDE, image.height))
    return image.resize(size, Image.Resampling.NEAREST)


def _pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    small = np.asarray(sample(image)).reshape(-1, len(image.mode))
    return small[small[:, 3] >= OPAQUE, :3] if image.mode == "RGBA" else small


def _bins(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the mean colour, shape (n, 3), and the share of each bin that has pixels."""
    coarse = pixels.astype(np.intp) >> (8 - BIN_BITS)
    index = (coarse[:, 0] << 2 * BIN_BITS) | (coarse[:, 1] << BIN_BITS) | coarse[:, 2]
    counts = np.bincount(index)
    full = np.flatnonzero(counts)
    sums = [np.bincount(index, pixels[:, channel])[full] for channel in range(3)]
    return np.stack(sums, axis=1) / counts[full, None], counts[full] / len(pixels)


def _apart(places: npt.NDArray[np.float64], order: npt.NDArray[np.intp]) -> list[int]:
    """Return the entries of ``order`` that are not near an earlier one."""
    away = _distances(places[order], places[order])
    kept: list[int] = []
    for rank in range(len(order)):
        if not kept or away[rank, kept].min() >= JOINED_BELOW:
            kept.append(rank)
    return [int(order[rank]) for rank in kept]


def _distances(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2.0 * first @ second.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def _packed(rgb: npt.NDArray[np.floating]) -> int:
    red, green, blue = (round(float(channel)) for channel in rgb)
    return red << 16 | green << 8 | blue
