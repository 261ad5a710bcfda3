"""ICC profiles made by hand, of each colour space that pictures come in (ICC.1:2022)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

HEADER_BYTES = 128
D50 = (0.9642, 1.0, 0.8249)
SRGB_PRIMARIES = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
"""XYZ of red, green and blue, adapted to D50."""
P3_PRIMARIES = ((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841))
"""Display P3."""


def icc(space: bytes, tags: Mapping[bytes, bytes], *, kind: bytes = b"mntr") -> bytes:
    """Return a profile of that colour space."""
    content, table = b"", b""
    first = HEADER_BYTES + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", first + len(content), len(data))
        content += data + bytes(-len(data) % 4)
    lab = space == b"CMYK"
    header = struct.pack(
        ">I4sI4s4s4s12s4s44sII8s",
        first + len(content),
        b"lcms",
        0x02400000,
        kind,
        space,
        b"Lab " if lab else b"XYZ ",
        bytes(12),
        b"acsp",
        bytes(28) + struct.pack(">3i", *(round(part * 65536) for part in D50)) + bytes(4),
        0,
        0,
        bytes(8),
    ).ljust(HEADER_BYTES, b"\0")
    return header[:HEADER_BYTES] + struct.pack(">I", len(tags)) + table + content


def xyz(place: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(part * 65536) for part in place))


def gamma(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(exponent * 256))


def rgb_profile(primaries: Sequence[Sequence[float]], exponent: float = 2.2) -> bytes:
    curves = {name: gamma(exponent) for name in (b"rTRC", b"gTRC", b"bTRC")}
    places = {
        name: xyz(place) for name, place in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
    }
    return icc(b"RGB ", {b"wtpt": xyz(D50), **places, **curves})


def grey_profile(exponent: float) -> bytes:
    return icc(b"GRAY", {b"wtpt": xyz(D50), b"kTRC": gamma(exponent)})


def cmyk_profile(paper: tuple[int, int, int], ink: tuple[int, int, int]) -> bytes:
    """Return a press where any ink gives one colour, in 8-bit Lab, on paper of another."""
    ramp = bytes(range(256))
    grid = b"".join(bytes(ink if corner else paper) for corner in range(16))
    matrix = struct.pack(">9i", *(65536 if n % 4 == 0 else 0 for n in range(9)))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + matrix + ramp * 4 + grid + ramp * 3
    return icc(b"CMYK", {b"wtpt": xyz(D50), b"A2B0": lut}, kind=b"prtr")
