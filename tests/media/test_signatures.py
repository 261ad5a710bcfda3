"""What first bytes say is what decoding says; each case here was once told in two ways."""

from __future__ import annotations

import io

import pytest
from PIL import Image, features

from triptych.errors import PermanentItemError
from triptych.media.decode import decode
from triptych.media.raster import FORMATS
from triptych.media.signatures import BRANDS, DECODED, picture_type
from triptych.model import Reason

BMP_HEAD = b"BM" + bytes(12) + b"\x28\0\0\0"
"""Up to the size of its second header, 40."""


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xff\xd8\xff\xe0 and so on", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x20ftypavif", "image/avif"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
    ],
)
def test_a_picture_that_is_not_decoded_is_told_by_its_first_bytes(body: bytes, kind: str) -> None:
    assert picture_type(body) == kind


@pytest.mark.parametrize(
    "body", [b"", b"<!doctype html>", b"%PDF-1.7", b"RIFF\x10\0\0\0WAVE", b"x", b"    ftypisom"]
)
def test_what_does_not_begin_as_a_picture_is_none(body: bytes) -> None:
    assert picture_type(body) is None


@pytest.mark.parametrize("kind", [*sorted(set(FORMATS) - {"HEIF", "PSD"}), "BIG TIFF"])
def test_what_is_not_decoded_has_the_type_that_decoding_would_find(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    file = io.BytesIO()
    options = {"big_tiff": True} if kind == "BIG TIFF" else {}
    Image.new("RGB", (40, 20)).save(file, kind.removeprefix("BIG "), **options)
    body = file.getvalue()
    assert picture_type(body) == decode(body, size=32, max_pixels=10_000).media_type
    assert picture_type(body) in DECODED


def broken(body: bytes) -> tuple[Reason, str]:
    with pytest.raises(PermanentItemError) as error:
        decode(body, size=32, max_pixels=10_000)
    return error.value.reason, error.value.detail


def test_a_broken_bitmap_is_a_broken_picture() -> None:
    assert picture_type(BMP_HEAD) == "image/bmp"
    assert broken(BMP_HEAD + b"\xff" * 50)[0] is Reason.UNDECODABLE


def test_a_text_that_begins_with_bm_is_no_bitmap() -> None:
    text = b"BMW and others: a list of what has no pictures"
    assert picture_type(text) is None
    assert broken(text)[0] is Reason.NOT_AN_IMAGE


@pytest.mark.parametrize("brand", BRANDS)
def test_a_broken_picture_of_any_brand_is_a_broken_picture(brand: bytes) -> None:
    body = b"\0\0\0\x1cftyp" + brand + b"\xff" * 50
    assert broken(body)[0] is Reason.UNDECODABLE
