"""A decoded picture: what a decoder process answers, without the libraries that it decodes with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych.model import Colour


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture, ready to be embedded."""

    pixels: npt.NDArray[np.uint8]
    """Shape (size, size, 3), RGB."""
    width: int
    """Of the original, as it is meant to be seen: after EXIF orientation."""
    height: int
    media_type: str
    """By content."""
    phash: int
    colours: tuple[Colour, ...] = ()
    """The dominant ones of the visible pixels, the largest share first."""
