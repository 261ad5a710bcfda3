"""The chunks of a WebP (RFC 9649), for files that end too early."""

from __future__ import annotations

import struct

HEAD = struct.Struct("<4sI4s")
CHUNK = struct.Struct("<4sI")
PIXELS = frozenset({b"VP8 ", b"VP8L"})
NEEDED = PIXELS | {b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
SPARE_BYTES = 1024 * 1024
"""Added to a picture that is cut: a decoder may need more of the filler than was there."""
FLAGS = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
"""Bits of VP8X that announce a chunk."""


def completed(body: bytes, filler: bytes, max_bytes: int) -> bytes | None:
    """Return a WebP whose chunks are whole; metadata and frames that are cut are left out.

    The rest of a cut picture is ``filler``, repeated. None if there is no picture, or it says that
    it is larger than ``max_bytes``.
    """
    at, kept, missing = HEAD.size, [], 0
    while at + CHUNK.size <= len(body):
        kind, length = CHUNK.unpack_from(body, at)
        at += CHUNK.size
        data = body[at : at + length]
        at += length + length % 2
        if len(data) < length:
            if kind not in PIXELS or length > max_bytes or not data:
                missing |= FLAGS.get(kind, 0)
                break
            rest = length - len(data) + SPARE_BYTES
            data += (filler * (rest // len(filler) + 1))[:rest]
        if kind in NEEDED:
            kept.append((kind, data))
        else:
            missing |= FLAGS.get(kind, 0)
    if not any(kind in PIXELS or kind == b"ANMF" for kind, _ in kept):
        return None
    content = b"".join(
        CHUNK.pack(kind, len(data)) + _announcing(kind, data, missing) + bytes(len(data) % 2)
        for kind, data in kept
    )
    return HEAD.pack(b"RIFF", len(content) + 4, b"WEBP") + content


def _announcing(kind: bytes, data: bytes, missing: int) -> bytes:
    """Return a chunk's data; VP8X without the flags of chunks that are left out."""
    return bytes((data[0] & ~missing, *data[1:])) if kind == b"VP8X" and data else data
