"""Dominant colours: as eyes would name them, each once, by share."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from triptych.media.colours import COLOURS_MAX, dominant, oklab


def test_a_flag_has_its_colours_by_share() -> None:
    flag = Image.new("RGB", (100, 60), (255, 255, 255))
    flag.paste((0, 60, 160), (0, 0, 30, 60))
    flag.paste((220, 30, 40), (90, 0, 100, 60))
    found = dominant(flag)
    assert [colour.rgb for colour in found] == [0xFFFFFF, 0x003CA0, 0xDC1E28]
    assert [colour.share for colour in found] == pytest.approx([0.6, 0.3, 0.1], abs=0.02)


def test_shades_that_look_the_same_are_one_colour() -> None:
    rng = np.random.default_rng(4)
    noisy = rng.integers(-3, 4, (80, 80, 3)) + np.array([200, 90, 40])
    (colour,) = dominant(Image.fromarray(noisy.astype(np.uint8)))
    assert colour.share == pytest.approx(1.0)
    assert abs((colour.rgb >> 16) - 200) <= 3


def test_what_is_transparent_has_none() -> None:
    logo = Image.new("RGBA", (50, 50), (0, 255, 0, 0))
    assert dominant(logo) == ()
    logo.paste((10, 20, 30, 255), (20, 20, 30, 30))
    assert [(colour.rgb, colour.share) for colour in dominant(logo)] == [(0x0A141E, 1.0)]


def test_colours_are_few_and_their_shares_add_up_to_at_most_one() -> None:
    noise = np.random.default_rng(5).integers(0, 256, (200, 300, 3), np.uint8)
    found = dominant(Image.fromarray(noise))
    assert 0 < len(found) <= COLOURS_MAX
    assert sum(colour.share for colour in found) <= 1.0
    assert [c.share for c in found] == sorted((c.share for c in found), reverse=True)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_odd_shapes(size: tuple[int, int]) -> None:
    assert [colour.rgb for colour in dominant(Image.new("RGB", size, (1, 2, 3)))] == [0x010203]


@pytest.mark.parametrize("shade", [0, 1, 128, 254, 255])
def test_one_shade_is_one_colour(shade: int) -> None:
    (colour,) = dominant(Image.new("RGB", (64, 64), (shade,) * 3))
    assert (colour.rgb, colour.share) == (shade * 0x010101, 1.0)


def test_a_single_visible_pixel_decides() -> None:
    image = Image.new("RGBA", (9, 9), (255, 0, 0, 127))
    assert dominant(image) == ()
    image.putpixel((4, 4), (0, 0, 255, 128))
    assert [(colour.rgb, colour.share) for colour in dominant(image)] == [(0x0000FF, 1.0)]


def test_oklab_gives_the_published_figures() -> None:
    # Ottosson, "A perceptual color space for image processing", 2020; white and sRGB's primaries.
    found = oklab(np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]))
    expected = np.array(
        [[1, 0, 0], [0.628, 0.225, 0.126], [0.866, -0.234, 0.179], [0.452, -0.032, -0.312]]
    )
    np.testing.assert_allclose(found, expected, atol=1e-3)
