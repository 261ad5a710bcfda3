"""The segments of a JPEG (ITU-T T.81), for files that are unterminated or have broken metadata."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

SOI, EOI, SOS, COM = 0xD8, 0xD9, 0xDA, 0xFE
END = b"\xff\xd9"
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Start of frame, of every kind."""
METADATA = frozenset({*range(0xE0, 0xF0), COM}) - {0xE2, 0xEE}
"""Application data and comments, but for APP2 (a colour profile) and APP14 (Adobe's colours)."""
PROFILE = b"ICC_PROFILE\0"
LEAST_BYTES = {0xE2: 4 + len(PROFILE) + 2, 0xEE: 4 + 12}
"""Of whole segments that are kept: a profile has its number and their count, Adobe's its flags."""
BEHIND_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The marker that ends the coded data: within them, 0xFF is escaped or a restart."""
COEFFICIENTS = 64
SEGMENTS_MAX = 10_000


def segments(body: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield each segment's marker and where it begins and ends; a scan's coded data are in its own.

    Ends at the end of the picture, at the end of the file, or where no segment is.
    """
    at = 2
    for _ in range(SEGMENTS_MAX):
        while body[at : at + 2] == b"\xff\xff":
            at += 1
        if body[at : at + 1] != b"\xff" or at + 4 > len(body) or body[at + 1] == EOI:
            return
        end = at + 2 + int.from_bytes(body[at + 2 : at + 4], "big")
        if body[at + 1] == SOS:
            behind = BEHIND_SCAN.search(body, end)
            end = behind.start() if behind else len(body)
        yield body[at + 1], at, min(end, len(body))
        at = end


def without_metadata(body: bytes) -> bytes:
    """Return a JPEG with what is shown alone, without its end marker: no EXIF, no comments."""
    kept = [body[:2]]
    for marker, start, end in segments(body):
        data = body[start:end]
        least = LEAST_BYTES.get(marker, 0)
        if marker in METADATA or len(data) < least:
            continue
        if marker == 0xE2 and not data.startswith(PROFILE, 4):
            continue
        kept.append(data)
    return b"".join(kept)


def is_terminated(body: bytes) -> bool:
    """Return whether the end of the picture is there, and the scans before it."""
    ends = [2, *(end for _, _, end in segments(body))]
    return body[ends[-1] : ends[-1] + 2] == END


def unterminated(body: bytes) -> bytes:
    """Return a JPEG up to where it ends, without the first half of a marker."""
    return body.removesuffix(b"\xff")


def has_all_scans(body: bytes) -> bool:
    """Return whether the scans that have begun hold every coefficient in full precision.

    If not, a progressive picture is there from top to bottom, but blurred.
    """
    components: tuple[int, ...] = ()
    missing_bits: dict[int, list[bool]] = defaultdict(lambda: [True] * COEFFICIENTS)
    for marker, start, _ in segments(body):
        if marker in FRAMES:
            count = int.from_bytes(body[start + 9 : start + 10], "big")
            components = tuple(body[start + 10 : start + 10 + 3 * count : 3])
        elif marker == SOS:
            count = int.from_bytes(body[start + 4 : start + 5], "big")
            names = body[start + 5 : start + 5 + 2 * count : 2]
            first, last, precision = body[start + 5 + 2 * count : start + 8 + 2 * count] or (
                0,
                0,
                1,
            )
            for name in names:
                for at in range(first, min(last, COEFFICIENTS - 1) + 1):
                    missing_bits[name][at] = bool(precision & 15)
    return bool(components) and not any(any(missing_bits[name]) for name in components)
