"""Fingerprints: near for one picture edited, far for different ones, and fit for a bigint."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance

from triptych.media.fingerprint import HASH_BITS, hamming, phash

SAME_AT_MOST = 6
DIFFERENT_AT_LEAST = 16
PICTURES = 12
LOWEST, HIGHEST = -(2 ** (HASH_BITS - 1)), 2 ** (HASH_BITS - 1) - 1


def picture(seed: int) -> Image.Image:
    """Soft colours with hard shapes on them, as product pictures and logos have."""
    rng = np.random.default_rng(seed)
    ground = Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8))
    image = ground.resize((320, 240), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        x, y, width, height = (int(n) for n in rng.integers((0, 0, 30, 30), (240, 160, 120, 90)))
        draw.ellipse((x, y, x + width, y + height), fill=tuple(rng.integers(0, 255, 3).tolist()))
    return image


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def noisy(image: Image.Image) -> Image.Image:
    noise = np.random.default_rng(99).normal(0, 5, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half the size": lambda image: image.resize((160, 120)),
    "three times the size": lambda image: image.resize((960, 720)),
    "JPEG at quality 30": lambda image: jpeg(image, 30),
    "JPEG at quality 10": lambda image: jpeg(image, 10),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    "noise": noisy,
    "256 colours": lambda image: image.quantize(256).convert("RGB"),
    "opaque RGBA": lambda image: image.convert("RGBA"),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("seed", range(3))
def test_a_picture_edited_stays_near(edit: str, seed: int) -> None:
    original = picture(seed)
    assert hamming(phash(original), phash(EDITS[edit](original))) <= SAME_AT_MOST


def test_different_pictures_are_far_from_one_another() -> None:
    hashes = [phash(picture(seed)) for seed in range(PICTURES)]
    distances = [hamming(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) >= DIFFERENT_AT_LEAST


@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT])
def test_a_picture_turned_counts_as_another(turn: Image.Transpose) -> None:
    assert hamming(phash(picture(1)), phash(picture(1).transpose(turn))) >= DIFFERENT_AT_LEAST


def test_the_same_pixels_always_give_the_same_hash_and_are_left_alone() -> None:
    image = picture(1)
    before = image.tobytes()
    assert phash(image) == phash(image) == phash(image.copy())
    assert (image.tobytes(), image.size) == (before, (320, 240))


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (7, 5), (2000, 2000)])
@pytest.mark.parametrize("shade", [0, 255])
def test_any_size_and_flat_colours_have_a_hash(size: tuple[int, int], shade: int) -> None:
    assert LOWEST <= phash(Image.new("RGB", size, (shade,) * 3)) <= HIGHEST


def test_hashes_fit_a_signed_64_bit_column() -> None:
    """The top bit stands for the mean grey: set unless all is black, which makes it negative."""
    hashes = [phash(picture(seed)) for seed in range(PICTURES)]
    assert all(LOWEST <= value < 0 for value in hashes)
    assert phash(Image.new("RGB", (64, 64))) == 0


HASHES = st.integers(LOWEST, HIGHEST)


@given(HASHES, HASHES, HASHES)
def test_hamming_is_a_distance(a: int, b: int, c: int) -> None:
    assert hamming(a, a) == 0
    assert hamming(a, b) == hamming(b, a)
    assert (hamming(a, b) == 0) is (a == b)
    assert hamming(a, c) <= hamming(a, b) + hamming(b, c)
    assert hamming(a, b) <= HASH_BITS


@pytest.mark.parametrize(
    ("first", "second", "bits"),
    [(0, 0, 0), (0, 1, 1), (0, -1, 64), (LOWEST, 0, 1), (LOWEST, HIGHEST, 64), (-1, -2, 1)],
)
def test_hamming_counts_bits_of_either_sign(first: int, second: int, bits: int) -> None:
    assert hamming(first, second) == bits


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 2)])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (9, 200, 30)])
def test_odd_shapes_and_single_colours_have_a_hash_that_fits(
    size: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    assert LOWEST <= phash(Image.new("RGB", size, colour)) <= HIGHEST
