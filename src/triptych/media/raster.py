"""Reading a picture's pixels with Pillow: the frame that is shown, and what its file says of it."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pi_heif
from PIL import Image, ImageFile, PngImagePlugin

from triptych.errors import PermanentItemError
from triptych.media.frames import first_with_content
from triptych.media.icons import icon_sizes
from triptych.media.srgb import PROFILE_MAX_BYTES
from triptych.model import Reason

FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF", "TIFF", "BMP"),
    *("ICO", "JPEG2000", "PSD"),
)
"""The supported formats. Never all of Pillow's: some of its readers start other programs."""
BASE_TYPES: Mapping[str | None, str] = MappingProxyType(
    {"MPO": "image/jpeg", "PNG": "image/png", "ICO": "image/vnd.microsoft.icon"}
)
"""Media types of formats that Pillow tells by their further frames (a JPEG with a second picture
behind it is a JPEG, and an animated PNG a PNG), or by a name that IANA does not have."""
CODESTREAM = "image/j2c"
"""JPEG 2000 without the boxes of a file."""
ORIENTATION = 0x0112
TURNS: Mapping[object, Image.Transpose] = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)
"""The operation that undoes each EXIF orientation."""
EXIF_ERRORS = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError),
    *(SyntaxError, TypeError, ValueError, struct.error),
)
"""Errors of reading malformed EXIF."""

pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
# The size limit below applies; Pillow's own would only raise another error.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False
# Pillow bounds a PNG's profile by its bound for texts.
PngImagePlugin.MAX_TEXT_CHUNK = PROFILE_MAX_BYTES
# Odd metadata is common and harmless here. Set once: `warnings.catch_warnings` changes the whole
# process, and several threads decode.
warnings.filterwarnings("ignore", module="PIL")


@dataclass(frozen=True, slots=True)
class Raster:
    """A picture as its file has it: not turned, in the file's mode and colour space."""

    image: Image.Image
    width: int
    """Of the original, as it is stored."""
    height: int
    media_type: str
    turn: Image.Transpose | None
    """What makes it upright."""
    profile: bytes | None
    """ICC."""


def read_raster(body: bytes, *, side: int, max_pixels: int) -> Raster:
    """Read a picture; of an animation the first frame that is not of one colour.

    The number of pixels is read from the header, before memory is allocated. A JPEG may come out
    smaller (DCT scaling), but no side is below ``side`` unless the original's is. Raises almost
    anything: see `triptych.media.decode.as_item_error`.

    Raises:
        PermanentItemError: too many pixels.
    """
    for size in icon_sizes(body):
        # Pillow decodes an icon when it opens it.
        _check(size or (0, 0), max_pixels)
    with Image.open(io.BytesIO(body), formats=FORMATS) as image:
        width, height = image.size
        _check(image.size, max_pixels)
        media_type = _media_type(image)
        image.draft("RGB", (side, side))
        image.load()
        turn, profile = _turn(image), image.info.get("icc_profile")
        return Raster(
            first_with_content(image, max_pixels),
            width,
            height,
            media_type,
            turn,
            profile if isinstance(profile, bytes) else None,
        )


def _check(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise PermanentItemError(
            Reason.TOO_MANY_PIXELS, f"{width}×{height}; {max_pixels} pixels are allowed"
        )


def _media_type(image: Image.Image) -> str:
    if getattr(image, "codec", None) == "j2k":
        return CODESTREAM
    found = BASE_TYPES.get(image.format) or image.get_format_mimetype()  # type: ignore[attr-defined]
    return found or "application/octet-stream"


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return what undoes its EXIF orientation; None if it is upright or EXIF cannot be read."""
    try:
        return TURNS.get(image.getexif().get(ORIENTATION))
    except EXIF_ERRORS:
        return None
