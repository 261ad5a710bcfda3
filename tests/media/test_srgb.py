"""ICC profiles: thumbnails, colours and pixels are those that browsers show."""

from __future__ import annotations

import io
import struct
import zlib
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from tests.support.icc import (
    P3_PRIMARIES,
    SRGB_PRIMARIES,
    cmyk_profile,
    grey_profile,
    rgb_profile,
)
from triptych.media.decode import decode
from triptych.media.decoded import Decoded
from triptych.media.fingerprint import hamming
from triptych.media.shrink import shrink
from triptych.media.srgb import apply_profile

SIDE = 32
SWAPPED = rgb_profile(SRGB_PRIMARIES[::-1])
"""Its red is blue."""
BLUE, RED = (20, 20, 210), (210, 20, 20)
ROUNDING_BITS, ROUNDING_LEVELS = 4, 4
"""How far a picture may be from one that was converted before it was reduced."""
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def open_(body: bytes) -> Decoded:
    return decode(body, size=SIDE, max_pixels=1_000_000)


def middle(decoded: Decoded) -> tuple[int, ...]:
    return tuple(decoded.pixels[SIDE // 2, SIDE // 2].tolist())


@pytest.mark.parametrize(
    "kind", ["PNG", "JPEG", "WEBP", "TIFF", *(["AVIF"] if features.check("avif") else [])]
)
def test_a_picture_is_shown_in_the_colours_of_its_profile(kind: str) -> None:
    body = encode(Image.new("RGB", (200, 200), BLUE), kind, icc_profile=SWAPPED)
    decoded = open_(body)
    assert middle(decoded) == pytest.approx(RED, abs=12)
    (colour,) = decoded.colours
    assert colour.rgb >> 16 > 200
    thumbnail = Image.open(io.BytesIO(shrink(body, width=100, max_pixels=1_000_000)))
    assert thumbnail.convert("RGB").getpixel((50, 50)) == pytest.approx(RED, abs=12)
    assert "icc_profile" not in thumbnail.info


@pytest.mark.parametrize("mode", ["P", "RGBA"])
def test_palettes_and_transparency_take_a_profile(mode: str) -> None:
    image = Image.new("RGB", (64, 64), BLUE).convert(mode)
    if mode == "RGBA":
        image.paste((*BLUE, 0), (0, 0, 64, 8))
    decoded = open_(encode(image, "PNG", icc_profile=SWAPPED))
    assert middle(decoded) == pytest.approx(RED, abs=12)
    if mode == "RGBA":
        assert tuple(decoded.pixels[1, 1]) == (255, 255, 255)


def test_display_p3_is_more_vivid_than_its_numbers() -> None:
    body = encode(
        Image.new("RGB", (64, 64), (200, 100, 60)), "PNG", icc_profile=rgb_profile(P3_PRIMARIES)
    )
    red, green, blue = middle(open_(body))
    assert red > 205
    assert green < 98
    assert blue < 58


@pytest.mark.parametrize("size", [(640, 480), (300, 1300), (224, 224), (24, 20)])
@pytest.mark.parametrize("profile", [SWAPPED, rgb_profile(P3_PRIMARIES)], ids=["swapped", "P3"])
def test_a_picture_has_the_hash_of_its_twin_in_srgb(profile: bytes, size: tuple[int, int]) -> None:
    random = np.random.default_rng(size[0])
    # Not vivid: colours beyond sRGB are cut, and the mean of cut colours is another.
    levels = random.integers(60, 190, (9, 9, 1)) + random.integers(-20, 20, (9, 9, 3))
    image = Image.fromarray(levels.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    twin = apply_profile(image.copy(), profile)
    assert twin != image
    profiled = open_(encode(image, "PNG", icc_profile=profile))
    plain = open_(encode(twin, "PNG"))
    assert hamming(profiled.phash, plain.phash) <= ROUNDING_BITS
    assert np.abs(profiled.pixels.astype(int) - plain.pixels.astype(int)).max() <= ROUNDING_LEVELS


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_with_a_profile(mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((64, 64), 128 * 257, np.uint16))
    else:
        image = Image.new("L", (64, 64), 128).convert(mode)
    linear = middle(open_(encode(image, "PNG", icc_profile=grey_profile(1.0))))
    # Half of the light is level 188 of sRGB.
    assert linear == pytest.approx((188, 188, 188), abs=2)


def test_16_bits_of_colour_with_a_profile() -> None:
    assert middle(open_(sixteen_bits(BLUE, SWAPPED))) == pytest.approx(RED, abs=12)


def sixteen_bits(colour: tuple[int, int, int], profile: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    row = b"\0" + b"".join(bytes((level, level)) for level in colour) * 16
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0))
        + chunk(b"iCCP", b"swapped\0\0" + zlib.compress(profile))
        + chunk(b"IDAT", zlib.compress(row * 16))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_with_a_profile_of_its_press(kind: str) -> None:
    # Paper of L* 100, any ink L* 50 and far towards red.
    profile = cmyk_profile((255, 128, 128), (128, 190, 170))
    inked = Image.new("CMYK", (64, 64), (0, 0, 0, 255))
    red, green, blue = middle(open_(encode(inked, kind, icc_profile=profile)))
    assert red > 150 > 80 > max(green, blue)
    assert middle(open_(encode(inked, kind))) == pytest.approx((0, 0, 0), abs=3)
    paper = Image.new("CMYK", (64, 64), (0, 0, 0, 0))
    assert min(middle(open_(encode(paper, kind, icc_profile=profile)))) > 250


BROKEN = {
    "empty": b"",
    "cut": SWAPPED[:200],
    "noise": bytes(range(256)) * 4,
    "header alone": SWAPPED[:128] + bytes(200),
    "tags that lie": SWAPPED[:132] + b"\xff" * (len(SWAPPED) - 132),
    "of another space": grey_profile(1.0),
    "of a press": cmyk_profile((255, 128, 128), (128, 190, 170)),
}


@pytest.mark.parametrize("profile", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_g9_a_profile_that_is_broken_or_another_pictures_costs_nothing(
    kind: str, profile: bytes
) -> None:
    body = encode(Image.new("RGB", (64, 64), BLUE), kind, icc_profile=profile)
    assert middle(open_(body)) == pytest.approx(BLUE, abs=8)


def test_a_profile_of_srgb_changes_no_sample() -> None:
    gradient = Image.linear_gradient("L")
    image = Image.merge("RGB", (gradient, gradient.rotate(90), gradient.rotate(180)))
    assert apply_profile(image, SRGB) is image
    with_it = open_(encode(image, "PNG", icc_profile=SRGB))
    assert np.array_equal(with_it.pixels, open_(encode(image, "PNG")).pixels)


def test_profiles_that_differ_in_their_date_are_one() -> None:
    later = bytearray(SWAPPED)
    now = datetime.now(UTC)
    later[24:26] = now.year.to_bytes(2, "big")
    image = Image.new("RGB", (4, 4), BLUE)
    assert apply_profile(image.copy(), bytes(later)) == apply_profile(image.copy(), SWAPPED)
