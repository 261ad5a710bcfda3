"""A corpus of hostile pictures, made by the tests: the same for the same seed."""

from __future__ import annotations

import itertools
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from tests.support import bombs
from tests.support.photo import HEIC, encode, photo
from triptych.model import Reason

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP")
"""What Pillow writes; HEIC and SVG come beside them."""
DONE = None
"""In a set of outcomes: the picture was decoded."""
GOOD = frozenset({DONE})
BROKEN = frozenset({Reason.UNDECODABLE, Reason.NOT_AN_IMAGE})
TOO_MANY = frozenset({Reason.TOO_MANY_PIXELS})
ANY = frozenset({DONE}) | BROKEN | TOO_MANY


@dataclass(frozen=True, slots=True)
class Hostile:
    """A file, and how its item may end."""

    name: str
    body: bytes
    outcomes: frozenset[Reason | None]


def pictures() -> dict[str, bytes]:
    """Return a small good picture of each format."""
    image = photo(96, 72)
    drawing = f'<svg {bombs.SVG_NS} width="96" height="72">' + "".join(
        f'<circle cx="{5 * n}" cy="{3 * n}" r="{n}" fill="#{37 * n:06x}"/>' for n in range(20)
    )
    written = {kind: encode(image, kind) for kind in KINDS}
    return {**written, "HEIC": HEIC, "SVG": f"{drawing}</svg>".encode()}


def corpus(count: int, seed: int) -> Iterator[Hostile]:
    """Yield ``count`` files: every one made for a purpose, then bytes at random."""
    return itertools.islice(itertools.chain(_made(), _fuzzed(random.Random(seed))), count)


def _made() -> Iterator[Hostile]:
    yield from _named("declared", bombs.declared(), TOO_MANY | {Reason.UNDECODABLE})
    yield from _named("swelling", bombs.swelling(), ANY)
    yield from _named("frames", bombs.frames(), GOOD)
    yield from _named("drawing", bombs.drawings(), ANY)
    yield from _named("cut", _cut(), BROKEN)
    yield from _named("long", _long(), GOOD)
    yield from _named("metadata", _odd_metadata(), GOOD)
    yield from _named("polyglot", _polyglots(), GOOD)
    yield from _named("poses", _posing(), BROKEN)


def _named(
    group: str, files: Iterator[tuple[str, bytes]], outcomes: frozenset[Reason | None]
) -> Iterator[Hostile]:
    for name, body in files:
        yield Hostile(f"{group}-{name}", body, outcomes)


def _cut() -> Iterator[tuple[str, bytes]]:
    for kind, body in pictures().items():
        for tenth in range(10):
            yield f"{kind}-{tenth}", body[: len(body) * tenth // 10]


def _long() -> Iterator[tuple[str, bytes]]:
    """Yield pictures a million pixels long, or as long as the format allows."""
    longest = {"PNG": 10**6, "TIFF": 10**6, "BMP": 10**6, "JPEG": 65_500, "GIF": 65_535}
    for kind, length in {**longest, "WEBP": 16_383, "AVIF": 16_384}.items():
        for size in ((1, length), (length, 1)):
            yield f"{kind}-{size[0]}x{size[1]}", encode(Image.new("RGB", size, "red"), kind)
    tall = 'width="1" height="1000000"'
    yield "SVG", f'<svg {bombs.SVG_NS} {tall}><rect width="1" height="9"/></svg>'.encode()


def _odd_metadata() -> Iterator[tuple[str, bytes]]:
    """Yield pictures that are good but for their EXIF or ICC profile."""
    image = photo(96, 72)
    tags = {
        "no-orientation": struct.pack("<HHHII", 1, 0x0112, 3, 1, 99),
        "orientation-of-text": struct.pack("<HHHI4s", 1, 0x0112, 2, 4, b"six\0"),
        "orientation-of-none": struct.pack("<HHHII", 1, 0x0112, 3, 0, 0),
        "endless-count": struct.pack("<HHHII", 1, 0x0112, 3, 2**32 - 1, 0),
        "far-away": struct.pack("<HHHII", 1, 0x010E, 2, 2**31, 2**31),
        "unknown-kind": struct.pack("<HHHII", 1, 0x0112, 999, 1, 1),
        "many-tags": struct.pack("<H", 65_535),
    }
    exifs = {name: b"Exif\0\0II*\0\x08\0\0\0" + tag + b"\x08\0\0\0" for name, tag in tags.items()}
    exifs |= {
        "garbage": b"Exif\0\0" + bytes(range(256)),
        "empty": b"Exif\0\0",
        "no-start": b"\xff" * 40,
    }
    # The writer of AVIF looks at what it is given, so that is written over a good one.
    good = Image.Exif()
    good[0x010E] = "A" * 400
    avif = encode(image, "AVIF", exif=good)
    for name, exif in exifs.items():
        for kind in ("JPEG", "PNG", "WEBP"):
            yield f"{kind}-exif-{name}", encode(image, kind, exif=exif)
        if exif[6:8] == b"II":  # libavif refuses a picture whose EXIF has no head.
            yield f"AVIF-exif-{name}", bombs.patched(avif, b"MM\0*", 0, exif[6:])
    profiles = {"garbage": bytes(range(256)) * 9, "short": b"\0", "zeros": bytes(4000)}
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        for name, profile in profiles.items():
            yield f"{kind}-icc-{name}", encode(image, kind, icc_profile=profile)


def _polyglots() -> Iterator[tuple[str, bytes]]:
    """Yield pictures that are something else as well: they are pictures."""
    script = b"/*<script>alert(1)</script><?php system('id'); ?>*/=1;"
    archive = b"PK\x05\x06" + bytes(18)
    for kind, body in pictures().items():
        if kind == "SVG":
            continue
        yield f"{kind}-script", body + script
        yield f"{kind}-archive", body + archive
        yield f"{kind}-twice", body + body
    yield "PNG-comment", encode(photo(96, 72), "GIF", comment=script)
    yield "JPEG-comment", encode(photo(96, 72), "JPEG", comment=script + archive)


def _posing() -> Iterator[tuple[str, bytes]]:
    """Yield what has a picture's name or first bytes and is none."""
    pages = {
        "page": b"<!DOCTYPE html><body><svg xmlns='http://www.w3.org/2000/svg'/></body>",
        "script": b"GIF89a=1;alert(1)//",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (r) file\n",
        "pdf": b"%PDF-1.7\n" + encode(photo(96, 72), "JPEG"),
        "program": b"\x7fELF" + bytes(200),
        "video": b"\0\0\0\x18ftypmp42\0\0\0\0mp42avif" + bytes(100),
        "mvg": b"push graphic-context\nimage over 0,0 0,0 'https://127.0.0.1/x'\n",
        "nothing": b"",
        "nuls": bytes(1000),
        "gzip": zlib.compress(bytes(1000)),
    }
    yield from pages.items()


def _fuzzed(rng: random.Random) -> Iterator[Hostile]:
    """Yield, without an end, good pictures with some of their bytes changed."""
    good = list(pictures().items())
    for number in itertools.count():
        kind, body = good[number % len(good)]
        changed = bytearray(body)
        for _ in range(rng.randint(1, 12)):
            # Most of what decides about a file stands at its beginning.
            at = rng.randrange(len(changed) if rng.random() < 0.5 else min(400, len(changed)))
            edit = rng.randrange(4)
            if edit == 0:
                changed[at] ^= 1 << rng.randrange(8)
            elif edit == 1:
                changed[at : at + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
            elif edit == 2:
                changed[at:at] = rng.randbytes(rng.randint(1, 16))
            else:
                del changed[at : at + rng.randint(1, 16)]
        yield Hostile(f"fuzz-{kind}-{number}", bytes(changed), ANY)
