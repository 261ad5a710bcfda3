"""The frame of an animation that stands for it."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

ANIMATED = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
"""Formats whose further frames follow each other in time; pages and second pictures do not."""
FRAMES_MAX = 100
"""Frames that are looked at."""
ONE_COLOUR_LEVELS = 6
"""Levels of 255 between the samples of one colour: lossy formats do not keep it exactly."""
FRAME_ERRORS = (EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error)


def first_with_content(image: Image.Image, max_pixels: int) -> Image.Image:
    """Return the first frame that is not all of one colour, or transparent; else the first one.

    Many animations fade in from white. At most `FRAMES_MAX` frames are looked at. A broken frame
    ends the search.

    Args:
        image: loaded, at its first frame.
        max_pixels: of all frames that are looked at.
    """
    if image.format not in ANIMATED or not getattr(image, "is_animated", False):
        return image
    if not _is_blank(image):
        return image
    first = image.copy()
    frames = min(FRAMES_MAX, max_pixels // (image.width * image.height))
    for number in range(1, frames):
        try:
            image.seek(number)
            image.load()
        except FRAME_ERRORS:
            break
        if not _is_blank(image):
            return image
    return first


def _is_blank(image: Image.Image) -> bool:
    samples = np.asarray(image.convert("RGBA").getextrema())
    transparent = samples[3, 1] == 0
    return bool(transparent or np.ptp(samples, axis=1).max() <= ONE_COLOUR_LEVELS)
