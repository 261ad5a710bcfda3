"""A picture as photographs are, made by the tests."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

HEIC = (Path(__file__).parents[1] / "data/photo.heic").read_bytes()
"""`photo` at 320×240, made once by pillow-heif at quality 80: no encoder of HEVC is installed."""
HEIC_SIZE = (320, 240)


@cache
def photo(width: int, height: int) -> Image.Image:
    """Return smooth light, a hard edge, texture and some noise."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (9, 12, 3), np.uint8))
    light = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float64)
    y, x = np.mgrid[0:height, 0:width] / min(width, height)
    light[(x - 0.6) ** 2 + (y - 0.5) ** 2 < 0.09] *= 0.35
    light += 12 * np.sin(40 * x + 25 * y)[..., None]
    light += rng.normal(0, 4, light.shape)
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the picture as a file of that kind."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
