"""Words for colours: the perceptually nearest (OKLab) of a few familiar colour terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from triptych.media.colours import oklab

WORDS: Mapping[str, int] = MappingProxyType(
    {
        "black": 0x000000,
        "dark grey": 0x4A4A4A,
        "grey": 0x8C8C8C,
        "light grey": 0xC8C8C8,
        "white": 0xFFFFFF,
        "cream": 0xFBF3DB,
        "beige": 0xD9C3A0,
        "brown": 0x7B4A21,
        "dark brown": 0x43281A,
        "maroon": 0x7A1020,
        "red": 0xE8151B,
        "salmon": 0xF7877A,
        "pink": 0xFAB3CC,
        "hot pink": 0xF03C96,
        "magenta": 0xE212E0,
        "purple": 0x7C2A9E,
        "violet": 0x8F5BF0,
        "lavender": 0xC9BDF5,
        "navy": 0x14204F,
        "blue": 0x1746E0,
        "azure": 0x2E8BF7,
        "sky blue": 0x9AD0F5,
        "cyan": 0x22D3EE,
        "teal": 0x0F7F80,
        "turquoise": 0x3FD6BE,
        "mint": 0xB4EBCB,
        "dark green": 0x14532D,
        "green": 0x24A148,
        "lime": 0x9BE21E,
        "olive": 0x77752A,
        "yellow": 0xFCE205,
        "gold": 0xE0AA1C,
        "orange": 0xF98012,
        "peach": 0xFBCBA0,
    }
)
"""A typical colour for each word: the eleven basic colour terms (Berlin and Kay, 1969), and shades
of them that have a word of their own."""

Places = npt.NDArray[np.float64]


def places(colours: Sequence[int] | npt.NDArray[np.intp]) -> Places:
    """Return where colours ``0xRRGGBB`` lie in OKLab, (n, 3)."""
    packed = np.asarray(colours, np.intp)
    channels = (packed >> 16, (packed >> 8) & 255, packed & 255)
    return oklab(np.stack(channels, axis=-1).astype(np.float64))


def words(seen: Places) -> list[str]:
    """Return a word for each colour of (n, 3) in OKLab."""
    names, known = _known()
    away = ((seen[:, None, :] - known[None, :, :]) ** 2).sum(axis=2)
    return [names[at] for at in away.argmin(axis=1)]


@cache
def _known() -> tuple[list[str], Places]:
    return list(WORDS), places(list(WORDS.values()))
