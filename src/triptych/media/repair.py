"""Pictures that Pillow refuses and browsers show: broken metadata, and an end that is missing.

Only what is not shown is left out. How much of the picture itself may be missing is a setting.
Nothing here runs for a picture that can be read as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from PIL import Image, ImageChops

from triptych.errors import PermanentItemError
from triptych.media import jpeg_segments, png_chunks, webp_chunks
from triptych.media.raster import Raster, read_raster
from triptych.model import Reason

EXIF_ITEM = re.compile(rb"(infe\x02.{7})Exif", re.DOTALL)
"""The entry of EXIF in an AVIF's table of items (ISO/IEC 14496-12, 8.11.6)."""
FILLERS = (b"\0", *(bytes((n * step + 199) % 251 + 1 for n in range(251)) for step in (89, 7, 163)))
"""An ending, and others that differ from its first bit on: what a decoder makes equal of two does
not depend on the end. Several, as a decoder may refuse one. Without 0xFF, which begins a marker in
JPEG."""
FILLED_BYTES = 4096
MAX_BYTES_PER_PIXEL = 8
Read = Callable[[bytes], Raster]


def read_repaired(
    body: bytes, error: Exception, *, side: int, max_pixels: int, max_missing: float
) -> Raster:
    """Read a picture that `read_raster` has refused with ``error``.

    Raises:
        PermanentItemError: more than ``max_missing`` of its rows, 0..1, are missing, or it has
            too many pixels.
        Exception: ``error``, if nothing helps.
    """

    def read(mended: bytes) -> Raster:
        return read_raster(mended, side=side, max_pixels=max_pixels)

    for mended in _without_metadata(body):
        found = _read_or_none(read, mended)
        if found is not None:
            return found
    found, missing = _completed(body, read, max_pixels, max_missing)
    if found is None and missing <= max_missing:
        raise error
    if found is None or missing > max_missing:
        raise PermanentItemError(
            Reason.UNDECODABLE,
            f"it ends too early: {missing:.1%} of its rows are missing, and {max_missing:.1%} may "
            "be",
        )
    return found


def _read_or_none(read: Read, mended: bytes) -> Raster | None:
    try:
        return read(mended)
    except (PermanentItemError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - decoders raise almost anything
        # The first error is the one that tells what is wrong.
        return None


def _without_metadata(body: bytes) -> Iterator[bytes]:
    """Yield the picture with less and less of what is not shown."""
    if body.startswith(png_chunks.MAGIC):
        yield png_chunks.without_metadata(body, still=False)
        yield png_chunks.without_metadata(body, still=True)
    elif body.startswith(b"\xff\xd8\xff") and jpeg_segments.is_terminated(body):
        yield jpeg_segments.without_metadata(body) + jpeg_segments.END
    elif body[4:8] == b"ftyp":
        yield EXIF_ITEM.sub(rb"\1none", body)


def _completed(
    body: bytes, read: Read, max_pixels: int, max_missing: float
) -> tuple[Raster | None, float]:
    """Return the picture with an end, and the share of its rows that were missing.

    Where there is no picture any more, that is None and 0. A PNG is not made if too much of it is
    missing.
    """
    if body.startswith(png_chunks.MAGIC):
        ended, missing = png_chunks.completed(body, max_pixels, max_missing)
        found = None if ended is None else _read_or_none(read, ended)
        return found, missing if ended is None or found is not None else 0.0
    if body.startswith(b"\xff\xd8\xff"):
        for whole in (body, jpeg_segments.without_metadata(body)):
            found, missing = _read_twice(_ended_jpegs(whole), read)
            if found is not None:
                return found, missing if jpeg_segments.has_all_scans(body) else 1.0
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        limit = max_pixels * MAX_BYTES_PER_PIXEL
        return _read_twice([webp_chunks.completed(body, end, limit) for end in FILLERS], read)
    return None, 0.0


def _ended_jpegs(body: bytes) -> list[bytes | None]:
    begun = jpeg_segments.unterminated(body)
    # A decoder fills what is missing by itself, in grey.
    return [begun + jpeg_segments.END, begun + _filled(FILLERS[1]) + jpeg_segments.END]


def _filled(filler: bytes) -> bytes:
    return filler * (FILLED_BYTES // len(filler))


def _read_twice(endings: list[bytes | None], read: Read) -> tuple[Raster | None, float]:
    """Read a picture with two different ends: rows from the first that differs on are missing."""
    first, *others = endings
    found = None if first is None else _read_or_none(read, first)
    if found is None:
        return None, 0.0
    for ending in others:
        other = None if ending is None else _read_or_none(read, ending)
        if other is not None and other.image.size == found.image.size:
            return found, _missing(found.image, other.image)
    return found, 1.0


def _missing(first: Image.Image, second: Image.Image) -> float:
    box = ImageChops.difference(first.convert("RGBA"), second.convert("RGBA")).getbbox(
        alpha_only=False
    )
    return 0.0 if box is None else 1 - box[1] / first.height
