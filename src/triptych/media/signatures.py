"""A picture's media type by its first bytes; the rest may still be broken."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType

from triptych.media.icons import is_icon
from triptych.media.svg_source import SVG, looks_like_svg

HEADS: Mapping[bytes, str] = MappingProxyType(
    {
        b"\xff\xd8\xff": "image/jpeg",
        b"\x89PNG": "image/png",
        b"GIF8": "image/gif",
        b"II*\0": "image/tiff",
        b"MM\0*": "image/tiff",
        b"II+\0": "image/tiff",
        b"MM\0+": "image/tiff",
        b"\xffO\xffQ": "image/j2c",
    }
)
"""By the first four bytes or fewer; the last two are BigTIFF."""
BRANDS: Mapping[bytes, str] = MappingProxyType(
    {
        **dict.fromkeys((b"avif", b"avis"), "image/avif"),
        **dict.fromkeys((b"heic", b"heix", b"heim", b"heis"), "image/heic"),
        **dict.fromkeys((b"hevc", b"hevx", b"hevm", b"hevs"), "image/heic-sequence"),
        b"mif1": "image/heif",
        b"msf1": "image/heif-sequence",
    }
)
"""Major brands of ISO base media files for pictures."""
BMP = "image/bmp"
BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})
"""Sizes of the second header, in bytes 14 to 17: they tell a bitmap from a text that begins with
BM."""


JPEG_2000 = b"\0\0\0\x0cjP  \r\n\x87\n"
PHOTOSHOP = struct.Struct(">4sH6sHIIHH")
"""Signature, version, zeros, channels, height, width, bits and colour mode."""
PHOTOSHOP_MODES = frozenset({(0, 1), *((mode, 8) for mode in (0, 1, 2, 3, 4, 7, 8, 9))})
"""Colour modes and bits that are decoded: no others, and no large documents, are."""
DECODED = frozenset(
    {
        *(*HEADS.values(), *BRANDS.values(), BMP, SVG),
        *("image/webp", "image/vnd.microsoft.icon", "image/jp2", "image/jpx"),
        "image/vnd.adobe.photoshop",
    }
)
"""Every media type of a picture that is decoded."""


def picture_type(body: bytes) -> str | None:
    """Return the media type by the first bytes; None if no picture that is decoded begins so."""
    for head, kind in HEADS.items():
        if body.startswith(head):
            return kind
    if body[4:8] == b"ftyp":
        return BRANDS.get(body[8:12])
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    if body[:2] == b"BM" and int.from_bytes(body[14:18], "little") in BMP_HEADER_SIZES:
        return BMP
    if body.startswith(JPEG_2000):
        return "image/jpx" if body[20:24] == b"jpx " else "image/jp2"
    if is_icon(body):
        return "image/vnd.microsoft.icon"
    if _is_photoshop(body):
        return "image/vnd.adobe.photoshop"
    return SVG if looks_like_svg(body) else None


def _is_photoshop(body: bytes) -> bool:
    if not body.startswith(b"8BPS\0\1") or len(body) < PHOTOSHOP.size:
        return False
    *_, bits, mode = PHOTOSHOP.unpack_from(body)
    return (mode, bits) in PHOTOSHOP_MODES
