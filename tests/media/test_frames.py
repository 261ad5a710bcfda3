"""Files of several frames: the type is the base format's; a blank frame stands for nothing."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, features

from triptych.media.decode import decode
from triptych.media.decoded import Decoded
from triptych.media.frames import FRAMES_MAX
from triptych.media.signatures import picture_type

SIDE = 32
MAX_PIXELS = 1_000_000
WHITE = Image.new("RGB", (64, 64), "white")
KINDS = ["GIF", "PNG", "WEBP", *(["AVIF"] if features.check("avif") else [])]


def product() -> Image.Image:
    image = Image.new("RGB", (64, 64), "white")
    image.paste((200, 30, 30), (16, 16, 48, 48))
    return image


def frames(kind: str, *images: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    images[0].save(buffer, kind, save_all=True, append_images=images[1:], duration=100, **options)
    return buffer.getvalue()


def open_(body: bytes, max_pixels: int = MAX_PIXELS) -> Decoded:
    return decode(body, size=SIDE, max_pixels=max_pixels)


def middle(decoded: Decoded) -> tuple[int, ...]:
    return tuple(decoded.pixels[SIDE // 2, SIDE // 2].tolist())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", [1, 3])
def test_an_animation_that_fades_in_is_told_by_what_it_shows(kind: str, blank: int) -> None:
    # Frames that equal the one before are joined by some writers, so the whites differ a little.
    whites = [Image.new("RGB", (64, 64), (255 - n,) * 3) for n in range(blank)]
    red, green, blue = middle(open_(frames(kind, *whites, product())))
    assert red > 150
    assert max(green, blue) < 80


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_frame_with_content_stays(kind: str) -> None:
    other = Image.new("RGB", (64, 64), (0, 0, 200))
    other.paste((0, 200, 0), (0, 0, 32, 32))
    assert middle(open_(frames(kind, product(), other)))[0] > 150


def test_a_transparent_first_frame_is_blank_too() -> None:
    body = frames("WEBP", Image.new("RGBA", (64, 64)), product().convert("RGBA"), lossless=True)
    assert middle(open_(body)) == (200, 30, 30)


@pytest.mark.parametrize("kind", KINDS)
def test_where_all_frames_are_blank_the_first_stands(kind: str) -> None:
    black = Image.new("RGB", (64, 64), "black")
    assert min(middle(open_(frames(kind, WHITE, black)))) > 250


def test_g8_frames_are_looked_at_within_bounds() -> None:
    greys = [Image.new("RGB", (8, 8), (n % 250,) * 3) for n in range(FRAMES_MAX + 5)]
    body = frames("WEBP", *greys, product().resize((8, 8)), lossless=True)
    assert middle(open_(body)) == (0, 0, 0)
    # Two frames are as many pixels as are allowed.
    late = frames("WEBP", WHITE, Image.new("RGB", (64, 64), "black"), product(), lossless=True)
    assert middle(open_(late, max_pixels=2 * 64 * 64)) == (255, 255, 255)
    assert middle(open_(late, max_pixels=3 * 64 * 64)) == (200, 30, 30)


def test_a_broken_later_frame_costs_nothing() -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8))
    body = frames("PNG", WHITE, noise)
    assert middle(open_(body[: len(body) * 3 // 4])) == (255, 255, 255)


@pytest.mark.parametrize("turned", [False, True])
def test_a_jpeg_with_a_second_picture_is_a_jpeg(turned: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    buffer = io.BytesIO()
    photo = product().resize((96, 64))
    photo.save(buffer, "MPO", save_all=True, append_images=[WHITE.resize((20, 20))], exif=exif)
    decoded = open_(buffer.getvalue())
    assert decoded.media_type == picture_type(buffer.getvalue()) == "image/jpeg"
    assert (decoded.width, decoded.height) == ((64, 96) if turned else (96, 64))
    assert middle(decoded)[1] < 80


def test_an_animated_png_is_a_png() -> None:
    body = frames("PNG", product(), WHITE)
    assert open_(body).media_type == picture_type(body) == "image/png"


def test_the_pages_of_a_document_are_no_animation() -> None:
    buffer = io.BytesIO()
    WHITE.save(buffer, "TIFF", save_all=True, append_images=[product()])
    assert middle(open_(buffer.getvalue())) == (255, 255, 255)
