"""Icons, JPEG 2000 and Photoshop documents: decoded, within the bounds of every other picture."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from tests.support.icc import SRGB_PRIMARIES, rgb_profile
from triptych.errors import PermanentItemError
from triptych.media.decode import decode
from triptych.media.decoded import Decoded
from triptych.media.icons import ENTRY
from triptych.media.kinds import other_media
from triptych.media.signatures import picture_type
from triptych.model import Reason

SIDE = 32
RED, BLUE = (200, 30, 30), (30, 30, 200)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def open_(body: bytes, max_pixels: int = 1_000_000) -> Decoded:
    return decode(body, size=SIDE, max_pixels=max_pixels)


def middle(decoded: Decoded) -> tuple[int, ...]:
    return tuple(decoded.pixels[SIDE // 2, SIDE // 2].tolist())


def refused(body: bytes, max_pixels: int = 1_000_000) -> PermanentItemError:
    with pytest.raises(PermanentItemError) as error:
        open_(body, max_pixels)
    return error.value


@pytest.mark.parametrize("options", [{}, {"bitmap_format": "bmp"}])
def test_of_an_icon_the_largest_picture(options: dict[str, object]) -> None:
    image = Image.new("RGBA", (64, 64), (*RED, 255))
    image.paste((0, 0, 0, 0), (0, 0, 64, 8))
    body = encode(image, "ICO", sizes=[(16, 16), (32, 32), (64, 64)], **options)
    decoded = open_(body)
    assert (decoded.width, decoded.height) == (64, 64)
    assert decoded.media_type == picture_type(body) == "image/vnd.microsoft.icon"
    assert middle(decoded) == RED
    assert tuple(decoded.pixels[1, 1]) == (255, 255, 255)


def icon(content: bytes) -> bytes:
    entry = ENTRY.pack(16, 16, 0, 0, 1, 32, len(content), 6 + ENTRY.size)
    return b"\0\0\1\0\1\0" + entry + content


def test_g8_an_icon_with_a_large_picture_within_is_not_decoded() -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header
    png += struct.pack(">I", zlib.crc32(header))
    assert refused(icon(png)).reason is Reason.TOO_MANY_PIXELS
    bitmap = struct.pack("<Iii", 40, 50_000, 100_000) + struct.pack("<HHIIIIII", 1, 32, *[0] * 6)
    assert refused(icon(bitmap)).reason is Reason.TOO_MANY_PIXELS


def test_g9_what_begins_like_an_icon_is_none_without_pictures() -> None:
    assert picture_type(b"\0\0\1\0\1\0" + bytes(100)) is None
    assert picture_type(b"\0\0\1\0\1\0" + b"\xff" * 100) is None
    assert refused(b"\0\0\1\0" + bytes(100)).reason is Reason.NOT_AN_IMAGE
    assert refused(icon(b"\x89PNG\r\n\x1a\n" + bytes(100))).reason is Reason.UNDECODABLE


@pytest.mark.parametrize(
    ("options", "media_type"), [({}, "image/jp2"), ({"no_jp2": True}, "image/j2c")]
)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_jpeg_2000(options: dict[str, object], media_type: str, mode: str) -> None:
    body = encode(Image.new("RGB", (64, 48), RED).convert(mode), "JPEG2000", **options)
    decoded = open_(body)
    assert (decoded.width, decoded.height) == (64, 48)
    assert decoded.media_type == picture_type(body) == media_type
    expected = RED if mode.startswith("RGB") else (81, 81, 81)
    assert middle(decoded) == pytest.approx(expected, abs=3)
    assert refused(body, max_pixels=64 * 48 - 1).reason is Reason.TOO_MANY_PIXELS
    assert refused(body[:60]).reason is Reason.UNDECODABLE


def photoshop(
    colour: tuple[int, ...], *, bits: int = 8, mode: int = 3, version: int = 1, icc: bytes = b""
) -> bytes:
    """Return a document of 24×16 without layers, its composite not compressed."""
    head = struct.pack(">4sH6xHIIHH", b"8BPS", version, len(colour), 16, 24, bits, mode)
    resource = b"8BIM" + struct.pack(">H2xI", 1039, len(icc)) + icc + bytes(len(icc) % 2)
    resources = resource if icc else b""
    planes = b"".join(bytes([level]) * (24 * 16 * bits // 8) for level in colour)
    return (
        head
        + bytes(4)
        + struct.pack(">I", len(resources))
        + resources
        + bytes(4)
        + b"\0\0"
        + planes
    )


def test_a_photoshop_document_is_its_composite() -> None:
    decoded = open_(photoshop(RED))
    assert (decoded.width, decoded.height) == (24, 16)
    assert decoded.media_type == picture_type(photoshop(RED)) == "image/vnd.adobe.photoshop"
    assert middle(decoded) == RED
    assert middle(open_(photoshop((90,), mode=1))) == (90, 90, 90)
    swapped = rgb_profile(SRGB_PRIMARIES[::-1])
    assert middle(open_(photoshop(BLUE, icc=swapped))) == pytest.approx(RED, abs=20)


@pytest.mark.parametrize(
    "body",
    [
        photoshop(RED, bits=16),
        photoshop(RED, version=2),
        photoshop(RED, mode=77),
        b"8BPS\0\1" + bytes(400),
    ],
    ids=["16 bits", "large", "unknown mode", "zeros"],
)
def test_a_photoshop_document_that_is_not_decoded_is_named_and_kept(body: bytes) -> None:
    error = refused(body)
    assert error.reason is Reason.NOT_AN_IMAGE
    assert "Photoshop document" in error.detail
    assert other_media(body) == "image/vnd.adobe.photoshop"


def test_g9_a_photoshop_document_that_is_cut_is_a_broken_picture() -> None:
    assert refused(photoshop(RED)[:-100]).reason is Reason.UNDECODABLE
    assert refused(photoshop(RED)[:30]).reason is Reason.UNDECODABLE


@pytest.mark.parametrize("kind", ["ICO", "JPEG2000"])
def test_g9_bytes_that_are_changed_only_fail_their_item(kind: str) -> None:
    random = np.random.default_rng(7)
    body = encode(Image.linear_gradient("L").convert("RGB").resize((48, 48)), kind)
    for _ in range(60):
        broken = bytearray(body)
        for at in random.integers(0, len(body), 4):
            broken[at] ^= int(random.integers(1, 256))
        with suppress(PermanentItemError):
            assert open_(bytes(broken)).pixels.shape == (SIDE, SIDE, 3)
