"""Decoding in the corners: transparency of every kind, wide samples, odd shapes, any bytes."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from triptych.errors import PermanentItemError
from triptych.media.decode import decode
from triptych.media.decoded import Decoded
from triptych.model import Reason

SIDE = 32
MAX_PIXELS = 1_000_000
RED, GREEN, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (255, 255, 255), (0, 0, 0)
BLUE = (0, 0, 255)
WIDE = np.asarray(Image.linear_gradient("L"), np.uint16) * 257


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def open_(body: bytes) -> Decoded:
    return decode(body, size=SIDE, max_pixels=MAX_PIXELS)


def halves(image: Image.Image, kind: str, **options: object) -> list[tuple[int, ...]]:
    """Return the colours in the middle of the left and the right half, once decoded."""
    pixels = open_(encode(image, kind, **options)).pixels
    return [tuple(pixels[SIDE // 2, x].tolist()) for x in (SIDE // 4, 3 * SIDE // 4)]


def palette(left: tuple[int, ...], right: tuple[int, ...]) -> Image.Image:
    image = Image.new("P", (64, 32), 0)
    image.putpalette([*left, *right, *[0] * 762])
    image.paste(1, (32, 0, 64, 32))
    return image


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_entry_shows_the_ground(kind: str) -> None:
    assert halves(palette(RED, GREEN), kind) == [RED, GREEN]
    assert halves(palette(RED, GREEN), kind, transparency=1) == [RED, WHITE]
    assert halves(palette(WHITE, GREEN), kind, transparency=1) == [WHITE, BLACK]


def test_a_transparent_shade_or_colour_shows_the_ground() -> None:
    grey = Image.new("L", (64, 32), 90)
    grey.paste(7, (32, 0, 64, 32))
    assert halves(grey, "PNG", transparency=7) == [(90, 90, 90), WHITE]
    assert halves(palette(RED, GREEN).convert("RGB"), "PNG", transparency=GREEN) == [RED, WHITE]


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_half_transparency_mixes_with_the_ground(kind: str, options: dict[str, object]) -> None:
    image = Image.new("RGBA", (64, 32), (*BLUE, 128))
    image.paste((*BLUE, 255), (32, 0, 64, 32))
    left, right = halves(image, kind, **options)
    assert right == BLUE
    assert left == pytest.approx((127, 127, 255), abs=2)


@pytest.mark.parametrize(
    ("colour", "ground"),
    [((255, 255, 255), BLACK), ((245, 245, 245), BLACK), ((200, 200, 200), WHITE), (RED, WHITE)],
)
def test_the_ground_is_black_only_for_what_is_nearly_white(
    colour: tuple[int, ...], ground: tuple[int, ...]
) -> None:
    image = Image.new("RGBA", (64, 32), (*colour, 0))
    image.paste((*colour, 255), (0, 0, 32, 32))
    assert halves(image, "PNG") == [colour, ground]


def test_a_picture_all_transparent_is_white() -> None:
    assert halves(Image.new("RGBA", (64, 32), (9, 9, 9, 0)), "PNG") == [WHITE, WHITE]


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (Image.fromarray(WIDE), "PNG"),
        (Image.fromarray(WIDE), "TIFF"),
        (Image.fromarray(WIDE.astype(">u2")), "TIFF"),
        (Image.fromarray(WIDE.astype(np.int32)), "TIFF"),
        (Image.fromarray(WIDE.astype(np.float32)), "TIFF"),
        (Image.fromarray(WIDE.astype(np.float32) / 65535), "TIFF"),
    ],
    ids=["16 bit PNG", "16 bit TIFF", "16 bit TIFF, big-endian", "32 bit", "float", "float 0..1"],
)
def test_samples_of_more_than_8_bits_keep_their_range(image: Image.Image, kind: str) -> None:
    expected = np.asarray(Image.linear_gradient("L").convert("RGB").resize((SIDE, SIDE)), np.int16)
    found = open_(encode(image, kind)).pixels.astype(np.int16)
    assert np.abs(found - expected).max() <= 1


def test_a_dark_16_bit_picture_stays_dark() -> None:
    """By the range of its samples, not by its content: 300 of 65535 is black."""
    image = Image.fromarray(np.full((40, 40), 300, np.uint16))
    assert open_(encode(image, "PNG")).pixels.max() == 1


def test_samples_that_are_no_numbers_are_black() -> None:
    image = Image.fromarray(np.full((16, 16), np.nan, np.float32))
    assert open_(encode(image, "TIFF")).pixels.max() == 0


@pytest.mark.parametrize("options", [{}, {"compression": "group4"}, {"compression": "tiff_lzw"}])
def test_one_bit_tiffs(options: dict[str, object]) -> None:
    image = Image.new("1", (64, 32), 0)
    image.paste(1, (32, 0, 64, 32))
    assert halves(image, "TIFF", **options) == [BLACK, WHITE]


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_colour_spaces_of_print_and_video(mode: str) -> None:
    decoded = open_(encode(Image.new(mode, (20, 10)), "TIFF"))
    assert decoded.pixels.shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 9999), (9999, 1), (3, 2)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_odd_shapes(size: tuple[int, int], mode: str) -> None:
    decoded = open_(encode(Image.new(mode, size), "PNG"))
    assert (decoded.width, decoded.height) == size
    assert decoded.pixels.shape == (SIDE, SIDE, 3)


def test_the_cap_on_pixels_is_exact() -> None:
    body = encode(Image.new("L", (100, 50)), "PNG")
    assert decode(body, size=SIDE, max_pixels=5000).width == 100
    with pytest.raises(PermanentItemError) as error:
        decode(body, size=SIDE, max_pixels=4999)
    assert error.value.reason is Reason.TOO_MANY_PIXELS
    assert "100×50" in error.value.detail


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"II*\0garbage", b"garbage" * 9, b"", b"\xff" * 40])
def test_exif_that_is_broken_does_not_cost_the_picture(kind: str, exif: bytes) -> None:
    body = encode(Image.new("RGB", (40, 20), RED), kind, exif=b"Exif\0\0" + exif)
    assert (open_(body).width, open_(body).height) == (40, 20)


@pytest.mark.parametrize("kind", ["PPM", "TGA", "PCX", "SGI", "EPS"])
def test_g9_formats_that_are_not_listed_are_not_read(kind: str) -> None:
    with pytest.raises(PermanentItemError) as error:
        open_(encode(Image.new("RGB", (32, 32)), kind))
    assert error.value.reason is Reason.NOT_AN_IMAGE


def test_threads_decode_alike() -> None:
    kinds = ["PNG", "JPEG", "GIF", "WEBP", *(["AVIF"] if features.check("avif") else [])]
    gradient = Image.linear_gradient("L").convert("RGB")
    bodies = [encode(gradient, kind) for kind in kinds] * 8
    with ThreadPoolExecutor(4) as pool:
        together = [found.phash for found in pool.map(open_, bodies)]
    assert together == [open_(body).phash for body in bodies]


@pytest.mark.parametrize("head", [b"\x89PNG", b"RIFF\0\0\0\0WEBP", b"\0\0\0\x1cftypavif", b"GIF8"])
def test_what_begins_as_a_picture_is_called_a_broken_one(head: bytes) -> None:
    with pytest.raises(PermanentItemError, match="begins like a picture") as error:
        open_(head + b"\xff" * 50)
    assert error.value.reason is Reason.UNDECODABLE


REFUSALS = {Reason.NOT_AN_IMAGE, Reason.UNDECODABLE, Reason.TOO_MANY_PIXELS}
HEADS = [
    *(b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"II*\0", b"MM\0*"),
    *(b"RIFF\xff\xff\0\0WEBPVP8 ", b"RIFF\xff\0\0\0WEBPVP8X", b"\0\0\0\x1cftypavif"),
]


def attempt(body: bytes) -> Decoded | PermanentItemError:
    try:
        return open_(body)
    except PermanentItemError as error:
        return error


@given(st.sampled_from(HEADS), st.binary(max_size=400))
def test_g9_random_bytes_behind_any_head_only_fail_their_item(head: bytes, tail: bytes) -> None:
    found = attempt(head + tail)
    if isinstance(found, Decoded):
        assert found.pixels.shape == (SIDE, SIDE, 3)
    else:
        assert found.detail
        assert found.reason in REFUSALS
