"""Files that are small and ask for much: of memory, of time, of frames. Made byte by byte."""

from __future__ import annotations

import base64
import gzip
import struct
import zlib
from collections.abc import Iterator
from functools import cache

from PIL import Image

from tests.support.photo import HEIC, encode, photo

SVG_NS = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
MIB = 1024 * 1024
FRAMES = 10_000
BELOW_THE_CAP = 9_990
"""Side of a square that just may be decoded: a hundred million pixels are allowed."""
SCANS = 3_000


def chunk(kind: bytes, data: bytes) -> bytes:
    checked = kind + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


def png(width: int, height: int, data: bytes, *, before: bytes = b"", depth: int = 1) -> bytes:
    """Return a grey PNG of compressed ``data``, with further chunks ``before`` it."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@cache
def zeros(length: int) -> bytes:
    packer, block = zlib.compressobj(9), bytes(MIB)
    blocks = [packer.compress(block) for _ in range(length // MIB)]
    return b"".join([*blocks, packer.compress(bytes(length % MIB)), packer.flush()])


def gif(width: int, height: int, frames: bytes) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
    return head + b"\0\0\0\xff\xff\xff" + frames + b";"


def gif_frame(width: int = 1, height: int = 1) -> bytes:
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\2\x44\1\0"


def tiff(
    width: int, height: int, data: bytes, *, following: int = 0, compression: int = 8
) -> bytes:
    """Return a grey TIFF of one strip; ``following`` is the offset of its next directory."""
    tags = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, compression),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, len(data)),
    ]
    directory = struct.pack("<H", len(tags))
    for tag, kind, value in tags:
        directory += struct.pack("<HHII", tag, kind, 1, value)
    return (
        b"II*\0"
        + struct.pack("<I", 8 + len(data))
        + data
        + directory
        + struct.pack("<I", following)
    )


def bmp(width: int, height: int, data: bytes, *, compression: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, compression, len(data), 0, 0, 2, 0)
    palette = b"\0\0\0\0\xff\xff\xff\0"
    at = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(data), 0, 0, at) + head + palette + data


def patched(body: bytes, mark: bytes, offset: int, patch: bytes) -> bytes:
    """Return ``body`` with ``patch`` that many bytes behind each ``mark``."""
    changed, at = bytearray(body), body.index(mark)
    while at >= 0:
        changed[at + offset : at + offset + len(patch)] = patch
        at = body.find(mark, at + 1)
    return bytes(changed)


def declared() -> Iterator[tuple[str, bytes]]:
    """Yield files that say that they are enormous, of each format."""
    small = photo(64, 48)
    huge = struct.pack(">II", 65_536, 65_536)
    yield "png", png(100_000, 100_000, zeros(10))
    yield "png-largest", png(2**31 - 1, 2**31 - 1, zeros(10))
    yield "png-honest", png(50_000, 50_000, zeros(50_000 * 6_251))
    yield "jpeg", patched(encode(small, "JPEG"), b"\xff\xc0", 5, b"\xff\xff\xff\xff")
    yield "gif", gif(65_535, 65_535, gif_frame(65_535, 65_535))
    yield "webp-lossless", encode(Image.new("L", (16_383, 16_383)), "WEBP", lossless=True, method=0)
    yield "tiff", tiff(2**31 - 1, 2**31 - 1, zeros(100))
    yield "bmp", bmp(2**31 - 1, 2**31 - 1, b"\0\1", compression=1)
    yield "bmp-plain", bmp(60_000, 60_000, b"", compression=0)
    yield "avif", patched(encode(small, "AVIF"), b"ispe", 8, huge)
    yield "heic", patched(HEIC, b"ispe", 8, huge)


def swelling() -> Iterator[tuple[str, bytes]]:
    """Yield files that stay below the cap on pixels and swell all the same."""
    side = BELOW_THE_CAP
    row = (side + 7) // 8 + 1
    yield "png", png(side, side, zeros(row * side))
    yield "png-16-bit", png(side, side, zeros((2 * side + 1) * side), depth=16)
    yield "png-more-than-it-says", png(64, 64, zeros(64 * MIB))
    yield "png-text", png(64, 64, zeros(9 * 64), before=chunk(b"zTXt", b"t\0\0" + zeros(64 * MIB)))
    yield "png-profile", png(8, 8, zeros(16), before=chunk(b"iCCP", b"p\0\0" + zeros(64 * MIB)))
    yield "gif", gif(side, side, gif_frame(side, side))
    yield "tiff", tiff(side, side, zeros(side * side))
    yield "tiff-strip-of-nothing", tiff(side, side, zeros(10))
    yield "tiff-circle", tiff(8, 8, zeros(64), following=8 + len(zeros(64)))
    yield "bmp", bmp(side, side, b"\xff\1" * (side * side // 255 + 1) + b"\0\1", compression=1)
    yield "webp", encode(Image.new("L", (9_000, 9_000)), "WEBP", lossless=True, method=0)
    yield "jpeg-scans", scans()


def scans() -> bytes:
    """Return a progressive JPEG whose last scan comes thousands of times."""
    body = encode(Image.new("L", (3000, 3000), 90), "JPEG", progressive=True, quality=50)
    last = body.rindex(b"\xff\xda")
    return body[:-2] + body[last:-2] * SCANS + body[-2:]


def frames() -> Iterator[tuple[str, bytes]]:
    """Yield animations of ten thousand frames."""
    yield "gif", gif(8, 8, gif_frame() * FRAMES)
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    webp = encode(red, "WEBP", save_all=True, append_images=[blue])
    at = webp.index(b"ANMF")
    many = webp[:at] + webp[at : at + 8 + int.from_bytes(webp[at + 4 : at + 8], "little")] * FRAMES
    yield "webp", many[:4] + struct.pack("<I", len(many) - 8) + many[8:]
    more = b"".join(
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", 2 * n, 8, 8, 0, 0, 1, 9, 0, 0))
        + chunk(b"fdAT", struct.pack(">I", 2 * n + 1) + zeros(16))
        for n in range(FRAMES)
    )
    first = png(8, 8, zeros(16), before=chunk(b"acTL", struct.pack(">II", FRAMES, 0)))
    yield "png", first[:-12] + more + first[-12:]
    page = tiff(8, 8, zeros(64))
    size = len(page) - 8
    pages = b"".join(
        tiff(8, 8, zeros(64), following=(n + 1) * size + 8 + len(zeros(64)))[8:]
        for n in range(FRAMES)
    )
    yield "tiff", page[:8] + pages + page[8:]
    avif = encode(red, "AVIF", save_all=True, append_images=[blue] * 30, speed=10)
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        avif = patched(avif, box, 8, bytes(16))  # When it was written.
    yield "avif", avif


def drawings() -> Iterator[tuple[str, bytes]]:
    """Yield SVGs that are small and take long, or much, or call themselves."""
    rect = '<rect width="900" height="900"/>'
    laughs = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    uses = "".join(f'<g id="a{n}">{f"""<use href="#a{n - 1}"/>""" * 10}</g>' for n in range(1, 12))
    twice = "".join(
        f'<mask id="m{n}">{f"""<rect mask="url(#m{n - 1})" width="9" height="9"/>""" * 2}</mask>'
        for n in range(24)
    )
    bomb = base64.b64encode(png(50_000, 50_000, zeros(50_000 * 6_251))).decode()
    packed = base64.b64encode(gzip.compress(b"<svg>" + b" " * (64 * MIB), mtime=0)).decode()
    inner = base64.b64encode(
        f'<svg {SVG_NS}><image href="file:///etc/passwd"/></svg>'.encode()
    ).decode()
    parts = {
        "uses": f'<g id="a0">{rect}</g>{uses}',
        "use-itself": '<g id="a"><use href="#a"/></g><use href="#a"/>',
        "use-each-other": '<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>',
        "masks": f'{twice}<rect mask="url(#m23)" width="9" height="9"/>',
        "turbulence": '<filter id="f"><feTurbulence baseFrequency=".5" numOctaves="10000000"/>'
        '</filter><rect filter="url(#f)" width="900" height="900"/>',
        "blur": '<filter id="f"><feGaussianBlur stdDeviation="1e30"/></filter>'
        '<rect filter="url(#f)" width="9" height="9"/>',
        "pattern": '<pattern id="p" width="1e-9" height="1e-9" patternUnits="userSpaceOnUse">'
        f'{rect}</pattern><rect fill="url(#p)" width="900" height="900"/>',
        "dashes": '<path d="M0 0L900 900" stroke="red" stroke-dasharray="1e-9"/>',
        "deep": "<g>" * 200 + "</g>" * 200,
        "deeper": "<g>" * 20_000 + "</g>" * 20_000,
        "many": "<rect/>" * 250_000,
        "foreign": '<foreignObject width="9" height="9"><iframe src="file:///etc/passwd"/>'
        "</foreignObject>",
        "style": "<style>@import url(file:///etc/passwd); rect { fill: url(http://[::1]/) }</style>"
        + rect,
        "picture-bomb": f'<image width="9" height="9" href="data:image/png;base64,{bomb}"/>',
        "packed-bomb": f'<image width="9" height="9" href="data:image/svg+xml;base64,{packed}"/>',
        "picture-that-reads": f'<image href="data:image/svg+xml;base64,{inner}"/>',
    }
    for name, content in parts.items():
        yield name, f'<svg {SVG_NS} width="900" height="900">{content}</svg>'.encode()
    for name, box in {"endless": "0 0 1e38 1e38", "no-number": "nan nan inf inf"}.items():
        yield name, f'<svg {SVG_NS} viewBox="{box}">{rect}</svg>'.encode()
    yield (
        "laughs",
        f'<!DOCTYPE svg [<!ENTITY e0 "ha">{laughs}]><svg {SVG_NS}>&e11;</svg>'.encode(),
    )
    yield (
        "entity-file",
        f'<!DOCTYPE svg [<!ENTITY e SYSTEM "file:///etc/passwd">]><svg {SVG_NS}>&e;</svg>'.encode(),
    )
