"""Making thumbnails, in a decoder process."""

from __future__ import annotations

import io

from PIL import Image

from triptych.media.decode import as_item_error, open_upright
from triptych.media.svg import SVG

QUALITY = 80
METHOD = 4
"""Effort of libwebp, 0 to 6; more takes twice the time to save a twentieth of the bytes."""
HEIGHT_FACTOR = 2
"""Largest height of a thumbnail, as a multiple of the requested width."""
GAP = 2.0
"""Pillow reduces by integer factors to this many times the size, and then resamples."""


def shrink(body: bytes, *, width: int, max_pixels: int) -> bytes:
    """Return ``body`` as a WebP at most ``width`` wide and `HEIGHT_FACTOR` times that high.

    The result is upright, shows the first frame, keeps transparency and, to a pixel, proportions,
    and is never larger than the original, except for an SVG, which has no size in pixels. It has
    none of the original's metadata.

    Raises:
        PermanentItemError: it is not a picture, has too many pixels, or is broken.
    """
    return as_item_error(body, lambda: _shrink(body, width, max_pixels))


def is_webp(content: bytes | bytearray) -> bool:
    """Return whether the content starts like a WebP."""
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


def _shrink(body: bytes, width: int, max_pixels: int) -> bytes:
    height = HEIGHT_FACTOR * width
    opened = open_upright(body, side=height, max_pixels=max_pixels)
    image = opened.image
    original = image.size if opened.media_type == SVG else (opened.width, opened.height)
    scale = min(1.0, width / original[0], height / original[1])
    # Long and thin pictures keep at least one pixel.
    size = (max(1, round(original[0] * scale)), max(1, round(original[1] * scale)))
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=GAP)
    buffer = io.BytesIO()
    # Only the pixels: the metadata of an opened picture (EXIF, ICC, XMP) is untrusted.
    Image.frombytes(image.mode, image.size, image.tobytes()).save(
        buffer, "WEBP", quality=QUALITY, method=METHOD
    )
    return buffer.getvalue()
