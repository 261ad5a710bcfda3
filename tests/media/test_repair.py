"""Files that browsers show although something in them is broken or missing at the end."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from triptych.errors import PermanentItemError
from triptych.media.decode import decode
from triptych.media.decoded import Decoded
from triptych.media.shrink import shrink
from triptych.media.srgb import PROFILE_MAX_BYTES
from triptych.model import Reason

SIDE = 64
MAX_PIXELS = 1_000_000
RED = (200, 30, 30)


def photo(width: int = 160, height: int = 120) -> Image.Image:
    """Return noise over a slope: no row equals another."""
    noise = np.random.default_rng(5).integers(0, 120, (height, width, 3))
    slope = np.linspace(0, 130, height, dtype=np.int64)[:, None, None]
    return Image.fromarray((noise + slope).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def open_(body: bytes, max_missing: float = 0.0) -> Decoded:
    return decode(body, size=SIDE, max_pixels=MAX_PIXELS, max_missing=max_missing)


def refused(body: bytes, max_missing: float = 0.0) -> str:
    with pytest.raises(PermanentItemError) as error:
        open_(body, max_missing)
    assert error.value.reason is Reason.UNDECODABLE
    return error.value.detail


def chunk(kind: bytes, data: bytes, *, crc: bool = True) -> bytes:
    right = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", right ^ (not crc))


def with_chunk(body: bytes, added: bytes, *, behind: bool = False) -> bytes:
    """Return a PNG with a chunk more, before its data or behind them."""
    at = len(body) - 12 if behind else 33
    return body[:at] + added + body[at:]


BOMB = zlib.compress(bytes(PROFILE_MAX_BYTES * 2))
ANCILLARY = {
    "zTXt, large": chunk(b"zTXt", b"history\0\0" + BOMB),
    "iTXt, large": chunk(b"iTXt", b"history\0\1\0\0\0" + BOMB),
    "zTXt, unknown method": chunk(b"zTXt", b"history\0\7" + BOMB),
    "zTXt, not deflated": chunk(b"zTXt", b"history\0\0garbage"),
    "tEXt, wrong sum": chunk(b"tEXt", b"Comment\0text", crc=False),
    "tEXt, many": chunk(b"tEXt", b"Comment\0" + bytes(1000)) * 100,
    "iCCP, large": chunk(b"iCCP", b"profile\0\0" + BOMB),
    "iCCP, unknown method": chunk(b"iCCP", b"profile\0\7" + BOMB),
    "iCCP, no name": chunk(b"iCCP", b"x"),
    "iCCP, wrong sum": chunk(b"iCCP", b"profile\0\0" + zlib.compress(b"x"), crc=False),
    "gAMA, short": chunk(b"gAMA", b"\0"),
    "cHRM, short": chunk(b"cHRM", b"\0" * 9),
    "pHYs, wrong sum": chunk(b"pHYs", bytes(9), crc=False),
    "pHYs, short": chunk(b"pHYs", b"\0"),
    "sRGB, empty": chunk(b"sRGB", b""),
    "tRNS, short": chunk(b"tRNS", b"\0"),
    "eXIf, garbage": chunk(b"eXIf", b"\xff" * 50),
    "acTL, short": chunk(b"acTL", b"\0"),
    "fcTL, out of order": chunk(b"acTL", bytes((0, 0, 0, 2, 0, 0, 0, 0)))
    + chunk(b"fcTL", struct.pack(">5I2H2B", 7, 9, 9, 0, 0, 1, 1, 0, 0)),
    "a private one, wrong sum": chunk(b"prVt", b"data", crc=False),
}


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("added", ANCILLARY.values(), ids=ANCILLARY)
def test_a_broken_ancillary_chunk_does_not_cost_the_png(added: bytes, behind: bool) -> None:
    plain = encode(photo(), "PNG")
    assert np.array_equal(
        open_(with_chunk(plain, added, behind=behind)).pixels, open_(plain).pixels
    )


def test_transparency_and_profile_are_kept_beside_a_broken_text() -> None:
    image = Image.new("P", (64, 64), 1)
    image.putpalette([0, 0, 0, *RED])
    image.paste(0, (0, 0, 64, 8))
    plain = encode(image, "PNG", transparency=0)
    body = with_chunk(plain, ANCILLARY["zTXt, large"])
    assert np.array_equal(open_(body).pixels, open_(plain).pixels)
    assert tuple(open_(body).pixels[1, 1]) == (255, 255, 255)


def test_a_critical_chunk_that_is_broken_is_not_skipped() -> None:
    body = bytearray(encode(photo(), "PNG"))
    body[30] ^= 1
    refused(bytes(body))


def app(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def tiff(*entries: bytes) -> bytes:
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries)


SEGMENTS = {
    "EXIF with an empty resolution": app(
        0xE1, tiff(struct.pack("<HHII", 0x011A, 5, 0, 0), struct.pack("<HHII", 0x128, 3, 1, 2))
    ),
    "EXIF that is noise": app(0xE1, b"Exif\0\0" + b"\xff" * 99),
    "an index of pictures that is noise": app(0xE2, b"MPF\0" + b"\xff" * 99),
    "an index of pictures that is empty": app(0xE2, b"MPF\0II*\0\x08\0\0\0\0\0"),
    "Photoshop's, cut": app(0xED, b"Photoshop 3.0\x008BIM\x03\xed"),
    "a short Adobe": app(0xEE, b"Adobe"),
    "a profile in parts that are missing": app(0xE2, b"ICC_PROFILE\0\x02\x03abc"),
    "a profile without parts": app(0xE2, b"ICC_PROFILE\0"),
    "a short JFIF": app(0xE0, b"JFIF"),
}


@pytest.mark.parametrize("added", SEGMENTS.values(), ids=SEGMENTS)
@pytest.mark.parametrize("ended", [True, False])
def test_broken_metadata_do_not_cost_the_jpeg(added: bytes, ended: bool) -> None:
    plain = encode(photo(), "JPEG")
    bare = plain[:2] + plain[20:]
    body = bare[:2] + added + bare[2:]
    assert np.array_equal(open_(body if ended else body[:-2]).pixels, open_(bare).pixels)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
@pytest.mark.parametrize("exif", [b"garbage" * 9, b"II*\0garbage", b"\xff" * 40])
def test_broken_exif_does_not_cost_the_avif(exif: bytes) -> None:
    good = Image.Exif()
    good[0x010E] = "x" * 200
    body = encode(photo(), "AVIF", exif=good)
    at = body.rindex(b"x" * 100)
    start = body.rindex(b"II*\0", 0, at) if b"II*\0" in body[:at] else body.rindex(b"MM\0*", 0, at)
    broken = body[:start] + exif + body[start + len(exif) :]
    assert np.array_equal(open_(broken).pixels, open_(body).pixels)


ENDLESS: dict[str, tuple[dict[str, object], tuple[int, ...]]] = {
    "JPEG": ({}, (1, 2)),
    "JPEG, progressive": ({"progressive": True}, (1, 2)),
    "JPEG, restarts": ({"restart_marker_rows": 1}, (1, 2)),
    "JPEG, grey": ({}, (1, 2)),
    "PNG": ({}, (1, 4, 8, 12, 13, 16)),
    "WEBP": ({"exif": b"Exif\0\0" + b"II*\0" * 20}, (1, 20, 60)),
    "WEBP, lossless": ({"lossless": True, "xmp": b"<x/>" * 20}, (1, 20, 60)),
}


@pytest.mark.parametrize(
    ("name", "cut"), [(name, cut) for name, (_, cuts) in ENDLESS.items() for cut in cuts]
)
def test_a_picture_that_is_only_unterminated_is_taken(name: str, cut: int) -> None:
    image = photo().convert("L") if "grey" in name else photo()
    body = encode(image, name.partition(",")[0], **ENDLESS[name][0])
    found, whole = open_(body[:-cut]), open_(body)
    assert np.array_equal(found.pixels, whole.pixels)
    assert (found.phash, found.colours) == (whole.phash, whole.colours)
    assert shrink(body[:-cut], width=80, max_pixels=MAX_PIXELS)


def test_an_unterminated_photograph_of_a_phone_stays_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = open_(encode(photo(), "JPEG", exif=exif)[:-2])
    assert (found.width, found.height) == (120, 160)


CUT: dict[str, dict[str, object]] = {
    "JPEG": {},
    "JPEG, restarts": {"restart_marker_rows": 1},
    "PNG": {},
    "WEBP": {"quality": 90},
}


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_what_may_be_missing_is_a_setting(name: str, share: float) -> None:
    body = encode(photo(160, 480), name.partition(",")[0], **CUT[name])
    cut = body[: int(len(body) * (1 - share))]
    detail = refused(cut)
    assert "of its rows are missing, and 0.0% may be" in detail
    missing = float(detail.partition("%")[0].rpartition(" ")[2]) / 100
    # Headers take bytes, and rows do not all take as many.
    assert missing == pytest.approx(share, abs=0.15)
    assert refused(cut, missing - 0.02)
    found, whole = open_(cut, min(1, missing + 0.01)), open_(body)
    assert (found.width, found.height, found.media_type) == (
        whole.width,
        whole.height,
        whole.media_type,
    )
    there = max(1, int(SIDE * (1 - missing)) - 6)
    assert np.abs(found.pixels[:there].astype(int) - whole.pixels[:there]).mean() < 3


@pytest.mark.parametrize("cut", [3, 10, 40])
def test_a_few_bytes_of_the_last_rows_are_missing_rows(cut: int) -> None:
    body = encode(photo(), "JPEG")
    missing = float(refused(body[: -2 - cut]).partition("%")[0].rpartition(" ")[2])
    assert 0 < missing < 25


def test_a_progressive_picture_without_its_last_scans_is_all_missing() -> None:
    body = encode(photo(), "JPEG", progressive=True)
    scan = body.rindex(b"\xff\xda")
    assert "100.0%" in refused(body[:scan])
    assert open_(body[:scan], max_missing=1.0).width == 160


ADAM7_ROWS = [2, 2, *[3] * 3, *[5] * 6, *[9] * 4]
"""Bytes of each row of the seven passes of a grey picture of 8×8."""


def interlaced(rows: int) -> bytes:
    """Return an interlaced grey PNG of 8×8, with so many of its rows, of all passes."""
    lengths = ADAM7_ROWS
    raw = b"".join(b"\0" + bytes([90] * (length - 1)) for length in lengths[:rows])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1))
        + chunk(b"IDAT", zlib.compress(raw)[:-4])
    )


def test_an_interlaced_png_has_its_rows_in_passes() -> None:
    whole = len(ADAM7_ROWS)
    assert tuple(open_(interlaced(whole)).pixels[5, 5]) == (90, 90, 90)
    assert "of its rows are missing" in refused(interlaced(whole - 2))


def test_g8_a_cut_png_is_not_unpacked_beyond_its_limit() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    with pytest.raises(PermanentItemError) as error:
        open_(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", BOMB)[:-9], max_missing=1.0)
    assert error.value.reason is Reason.TOO_MANY_PIXELS


def test_what_is_no_picture_any_more_keeps_its_reason() -> None:
    assert refused(encode(photo(), "PNG")[:40])
    assert refused(encode(photo(), "JPEG")[:100])
    assert refused(encode(photo(), "WEBP")[:30])
