"""A picture's media type by its first bytes; the rest may still be broken."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from triptych.media.svg import SVG
from triptych.media.svg_source import looks_like_svg

HEADS: Mapping[bytes, str] = MappingProxyType(
    {
        b"\xff\xd8\xff": "image/jpeg",
        b"\x89PNG": "image/png",
        b"GIF8": "image/gif",
        b"II*\0": "image/tiff",
        b"MM\0*": "image/tiff",
        b"II+\0": "image/tiff",
        b"MM\0+": "image/tiff",
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


def picture_type(body: bytes) -> str | None:
    """Return the media type by the first bytes; None if they are not a picture's."""
    for head, kind in HEADS.items():
        if body.startswith(head):
            return kind
    if body[4:8] == b"ftyp":
        return BRANDS.get(body[8:12])
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    if body[:2] == b"BM" and int.from_bytes(body[14:18], "little") in BMP_HEADER_SIZES:
        return BMP
    return SVG if looks_like_svg(body) else None
