"""The chunks of a PNG, and a PNG made anew from those that matter (PNG, third edition, W3C)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from triptych.media.srgb import PROFILE_MAX_BYTES

MAGIC = b"\x89PNG\r\n\x1a\n"
CHUNK = struct.Struct(">I4s")
CRC = struct.Struct(">I")
HEADER = struct.Struct(">IIBBBBB")
"""Width, height, bit depth, colour type, compression, filter, interlacing."""
CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
SHOWN = frozenset({b"tRNS", b"iCCP", b"sRGB", b"eXIf"})
"""Ancillary chunks that change what is shown. Those of text, time and the like do not."""
ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples per pixel of each colour type."""
TRANSPARENCY_BYTES = {0: 2, 2: 6, 3: 1}
"""Least length of tRNS for each colour type that may have it."""
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
"""Adam7: first column and row, and steps; the seventh pass is every second row."""
LAST_PASS = (0, 1, 1, 2)
PIECE_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk; ``data`` is shorter than stated if the file ends in it."""

    kind: bytes
    data: bytes
    intact: bool
    """Whether all of it is there, with the right checksum."""


def chunks(body: bytes) -> Iterator[Chunk]:
    """Yield the chunks up to IEND or the end of the file."""
    at = len(MAGIC)
    while at + CHUNK.size <= len(body):
        length, kind = CHUNK.unpack_from(body, at)
        at += CHUNK.size
        data = body[at : at + length]
        at += length
        crc = body[at : at + CRC.size]
        at += CRC.size
        intact = len(crc) == CRC.size and CRC.unpack(crc)[0] == zlib.crc32(kind + data)
        yield Chunk(kind, data, intact)
        if kind == b"IEND":
            return


def without_metadata(body: bytes, *, still: bool) -> bytes:
    """Return a PNG with the chunks that are shown, without ancillary ones that are broken.

    Args:
        body: a PNG, cut short or not.
        still: leave the animation out, too, and keep the default picture.
    """
    kept = CRITICAL | SHOWN | (frozenset() if still else ANIMATION)
    found = [
        chunk
        for chunk in chunks(body)
        if chunk.kind in kept and (chunk.intact or chunk.kind == b"IDAT")
    ]
    header = next((chunk.data for chunk in found if chunk.kind == b"IHDR"), b"")
    colour_type = header[9] if len(header) >= HEADER.size else None
    return _file([chunk for chunk in found if _usable(chunk, colour_type)])


def _usable(chunk: Chunk, colour_type: int | None) -> bool:
    if chunk.kind == b"tRNS":
        least = TRANSPARENCY_BYTES.get(colour_type or 0)
        return least is not None and len(chunk.data) >= least
    if chunk.kind == b"iCCP":
        _, _, packed = chunk.data.partition(b"\0")
        return packed[:1] == b"\0" and _fits(packed[1:])
    return bool(chunk.data) or chunk.kind != b"sRGB"


def _fits(packed: bytes) -> bool:
    inflate = zlib.decompressobj()
    try:
        inflate.decompress(packed, PROFILE_MAX_BYTES)
    except zlib.error:
        return False
    return not inflate.unconsumed_tail


def completed(body: bytes, max_pixels: int, max_missing: float) -> tuple[bytes | None, float]:
    """Return a still PNG whose missing rows are filled, and the share of it that was missing.

    The share is of rows; of an interlaced picture, of all passes' rows. No PNG is made if it is
    above ``max_missing``, if the header cannot be read, or if that says more than ``max_pixels``.
    """
    found = list(chunks(body))
    header = next((c.data for c in found if c.kind == b"IHDR" and c.intact), b"")
    if len(header) < HEADER.size:
        return None, 0.0
    width, height, depth, colour_type, _, _, interlaced = HEADER.unpack(header[: HEADER.size])
    bits = depth * SAMPLES.get(colour_type, 0)
    if not bits or width * height > max_pixels:
        return None, 0.0
    rows = _row_bytes(width, height, bits, interlaced=bool(interlaced))
    expected = sum(length * count for length, count in rows)
    raw = _inflated((c.data for c in found if c.kind == b"IDAT"), expected)
    present = _whole_rows(len(raw), rows)
    total = sum(count for _, count in rows)
    missing = 1 - present / total if total else 1.0
    if missing > max_missing:
        return None, missing
    filled = bytes(raw[:expected].ljust(expected, b"\0"))
    kept = [c for c in found if c.intact and c.kind in {b"IHDR", b"PLTE", *SHOWN}]
    kept.append(Chunk(b"IDAT", zlib.compress(filled, 1), intact=True))
    return _file(kept), missing


def _inflated(packed: Iterator[bytes], limit: int) -> bytearray:
    """Return what can be unpacked of a stream that may end early or be broken from a place on."""
    inflate, raw = zlib.decompressobj(), bytearray()
    for part in packed:
        for at in range(0, len(part), PIECE_BYTES):
            try:
                raw += inflate.decompress(part[at : at + PIECE_BYTES], max(1, limit - len(raw)))
            except zlib.error:
                return raw
            if inflate.eof or len(raw) >= limit:
                return raw
    return raw


def _row_bytes(width: int, height: int, bits: int, *, interlaced: bool) -> list[tuple[int, int]]:
    """Return the length in bytes and the number of the rows of each pass."""
    passes = (*PASSES, LAST_PASS) if interlaced else ((0, 0, 1, 1),)
    rows = []
    for left, top, across, down in passes:
        columns, count = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and count > 0:
            rows.append((1 + (columns * bits + 7) // 8, count))
    return rows


def _whole_rows(length: int, rows: Sequence[tuple[int, int]]) -> int:
    present = 0
    for row_bytes, count in rows:
        whole = min(count, length // row_bytes)
        present += whole
        length -= whole * row_bytes
        if whole < count:
            break
    return present


def _file(parts: Sequence[Chunk]) -> bytes:
    written = [MAGIC]
    for chunk in parts:
        if chunk.kind != b"IEND":
            crc = CRC.pack(zlib.crc32(chunk.kind + chunk.data))
            written += [CHUNK.pack(len(chunk.data), chunk.kind), chunk.data, crc]
    end = CHUNK.pack(0, b"IEND")
    return b"".join([*written, end, CRC.pack(zlib.crc32(b"IEND"))])
