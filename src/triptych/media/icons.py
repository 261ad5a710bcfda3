"""The directory of a Windows icon: how large its pictures are, before any is decoded."""

from __future__ import annotations

import struct

from triptych.media.png_chunks import MAGIC

HEAD = b"\0\0\1\0"
COUNT = struct.Struct("<4sH")
ENTRY = struct.Struct("<BBBBHHII")
"""Width, height, colours, reserved, planes, bits, length and place."""
ENTRIES_MAX = 1000
PNG_SIZE = struct.Struct(">II")
PNG_SIZE_AT = 16
BITMAP_SIZE = struct.Struct("<Iii")
"""The header's length, the width, and twice the height: the mask is below."""
BITMAP_HEADER_BYTES = 40


def is_icon(body: bytes) -> bool:
    """Return whether a file is an icon: its first picture is where the directory says."""
    sizes = icon_sizes(body)
    return bool(sizes) and sizes[0] is not None


def icon_sizes(body: bytes) -> list[tuple[int, int] | None]:
    """Return width and height of each picture, by itself; None for one that is none."""
    if not body.startswith(HEAD) or len(body) < COUNT.size:
        return []
    _, count = COUNT.unpack_from(body)
    within = (len(body) - COUNT.size) // ENTRY.size
    places = [COUNT.size + n * ENTRY.size for n in range(min(count, within, ENTRIES_MAX))]
    return [_size(body, ENTRY.unpack_from(body, at)[-1]) for at in places]


def _size(body: bytes, at: int) -> tuple[int, int] | None:
    if at < COUNT.size + ENTRY.size:
        return None
    if body.startswith(MAGIC, at) and len(body) >= at + PNG_SIZE_AT + PNG_SIZE.size:
        width, height = PNG_SIZE.unpack_from(body, at + PNG_SIZE_AT)
        return int(width), int(height)
    if len(body) < at + BITMAP_HEADER_BYTES:
        return None
    header, width, height = BITMAP_SIZE.unpack_from(body, at)
    return (abs(width), abs(height) // 2) if header == BITMAP_HEADER_BYTES else None
