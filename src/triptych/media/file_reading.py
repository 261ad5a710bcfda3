"""Reading what a picture's file shows without any model, in a decoder process."""

from __future__ import annotations

from PIL import Image

from triptych.media.decode import as_item_error, in_rgb, open_upright
from triptych.media.file_facts import FileFacts
from triptych.media.file_origin import read_origin
from triptych.media.picture_measures import STYLE_SIDE, quality_of, style_of
from triptych.media.svg_source import SVG, looks_like_svg

WHOLE_SIDE = 1_000_000
"""No side of a picture is longer: it is decoded at its own size."""
DRAWN_SIDE = 512
"""Of an SVG, which has no size of its own."""


def read_facts(body: bytes, *, max_pixels: int, max_missing: float = 0.0) -> FileFacts:
    """Return what a file shows. Broken or hostile metadata cost the origin only.

    Raises:
        PermanentItemError: not a picture, too many pixels, or broken.
    """
    return as_item_error(body, lambda: _read(body, max_pixels, max_missing))


def _read(body: bytes, max_pixels: int, max_missing: float) -> FileFacts:
    side = DRAWN_SIDE if looks_like_svg(body) else WHOLE_SIDE
    opened = open_upright(body, side=side, max_pixels=max_pixels, max_missing=max_missing)
    image = opened.image
    factor = max(1, min(image.size) // (2 * STYLE_SIDE))
    small = in_rgb(image.reduce(factor) if factor > 1 else image)
    small = small.resize((STYLE_SIDE, STYLE_SIDE), Image.Resampling.BOX)
    drawn = opened.media_type == SVG
    return FileFacts(
        style=style_of(opened.in_srgb(small)),
        quality=None if drawn else quality_of(in_rgb(image).convert("L")),
        origin=read_origin(body),
    )
