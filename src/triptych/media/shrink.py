"""A thumbnail's pixels, made from a picture in a decoder process."""

from __future__ import annotations

import io

from PIL import Image

from triptych.media.decode import as_item_error, open_upright
from triptych.media.svg_source import SVG

QUALITY = 80
METHOD = 4
"""libwebp's effort, 0 to 6; more takes twice the time and saves a twentieth of the bytes."""
HEIGHT_FACTOR = 2
"""A thumbnail is at most this many times as high as the requested width."""
GAP = 2.0
"""Pillow reduces by whole factors down to this many times the size, and then resamples."""


def shrink(body: bytes, *, width: int, max_pixels: int, max_missing: float = 0.0) -> bytes:
    """Return ``body`` as a WebP at most ``width`` wide and `HEIGHT_FACTOR` times that high.

    Upright, in sRGB, the frame that stands for it, with its transparency and, to a pixel, its
    proportions. Never larger than the original, except for an SVG, which has no size in pixels.
    Without metadata. ``max_missing`` is as for `triptych.media.decode.decode`.

    Raises:
        PermanentItemError: not a picture, too many pixels, or broken.
    """
    return as_item_error(body, lambda: _shrink(body, width, max_pixels, max_missing))


def _shrink(body: bytes, width: int, max_pixels: int, max_missing: float) -> bytes:
    height = HEIGHT_FACTOR * width
    opened = open_upright(body, side=height, max_pixels=max_pixels, max_missing=max_missing)
    image = opened.image
    original = image.size if opened.media_type == SVG else (opened.width, opened.height)
    scale = min(1.0, width / original[0], height / original[1])
    # Long and thin pictures keep a pixel.
    size = (max(1, round(original[0] * scale)), max(1, round(original[1] * scale)))
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=GAP)
    image = opened.in_srgb(image)
    buffer = io.BytesIO()
    # The pixels alone: the original's metadata (EXIF, ICC, XMP) is not trusted.
    Image.frombytes(image.mode, image.size, image.tobytes()).save(
        buffer, "WEBP", quality=QUALITY, method=METHOD
    )
    return buffer.getvalue()
