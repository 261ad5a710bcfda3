"""What is measured of pixels: sharpness, blocks, frames, badges, duotones."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from triptych.media.decode import decode
from triptych.media.file_facts import FileFacts
from triptych.media.file_reading import read_facts
from triptych.media.picture_measures import STYLE_SIDE, quality_of, style_of

SIDE = 384


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """Shapes of all sizes, as in a photograph, with the noise of a sensor."""
    random = np.random.default_rng(1)
    image = Image.new("RGB", (SIDE, SIDE), (120, 130, 140))
    draw = ImageDraw.Draw(image)
    for number in range(900):
        size = 90 * (1 - number / 900) + 2
        left, top = random.uniform(-20, SIDE, 2)
        fill = tuple(random.integers(20, 235, 3).tolist())
        draw.ellipse((left, top, left + size, top + size * random.uniform(0.4, 1.6)), fill=fill)
    noisy = np.asarray(image, np.float64) + random.normal(0, 2, (SIDE, SIDE, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int) -> bytes:
    body = io.BytesIO()
    image.save(body, "JPEG", quality=quality)
    return body.getvalue()


def facts(image: Image.Image) -> FileFacts:
    body = io.BytesIO()
    image.save(body, "PNG")
    return read_facts(body.getvalue(), max_pixels=10**7)


def small(image: Image.Image) -> Image.Image:
    return image.resize((STYLE_SIDE, STYLE_SIDE), Image.Resampling.BOX)


def test_blur_and_enlargement_take_the_finest_detail(scene: Image.Image) -> None:
    sharp = quality_of(scene.convert("L")).detail
    assert sharp is not None
    assert sharp > 0.4
    blurred = quality_of(scene.filter(ImageFilter.GaussianBlur(3)).convert("L")).detail
    assert blurred is not None
    assert blurred < 0.2
    reduced = scene.resize((SIDE // 4, SIDE // 4), Image.Resampling.LANCZOS)
    enlarged = quality_of(reduced.resize((SIDE, SIDE)).convert("L")).detail
    assert enlarged is not None
    assert enlarged < 0.35
    # Sharp at its own size.
    assert (quality_of(reduced.convert("L")).detail or 0) > 0.4


def test_one_sharp_part_is_enough(scene: Image.Image) -> None:
    shallow = scene.filter(ImageFilter.GaussianBlur(4))
    shallow.paste(scene.crop((128, 128, 256, 256)), (128, 128))
    assert (quality_of(shallow.convert("L")).detail or 0) > 0.4


def test_what_is_plain_is_not_judged() -> None:
    plain = quality_of(Image.new("L", (300, 300), 200))
    assert (plain.detail, plain.blocks) == (None, None)
    assert quality_of(Image.new("L", (8, 300))).detail is None


def test_strong_compression_shows_at_its_blocks_also_in_a_crop(scene: Image.Image) -> None:
    soft = scene.filter(ImageFilter.GaussianBlur(2))
    poor = Image.open(io.BytesIO(jpeg(soft, 8)))
    assert (quality_of(poor.convert("L")).blocks or 0) > 1.8
    assert (quality_of(poor.crop((3, 5, 300, 300)).convert("L")).blocks or 0) > 1.8
    for fine in (soft, Image.open(io.BytesIO(jpeg(scene, 90)))):
        assert (quality_of(fine.convert("L")).blocks or 9) < 1.4


def test_a_duotone_has_one_colour_for_each_lightness(scene: Image.Image) -> None:
    duotone = ImageOps.colorize(scene.convert("L"), "#200050", "#ffd040")
    assert style_of(small(duotone)).tones < 2.5
    assert style_of(small(duotone)).chroma > 4
    assert style_of(small(scene.convert("L").convert("RGB"))).chroma_high < 1
    assert style_of(small(scene)).tones > 4


def test_a_frame_is_another_colour_all_around(scene: Image.Image) -> None:
    framed = style_of(small(ImageOps.expand(scene, 20, "#d01020")))
    assert framed.frame == pytest.approx(20 / (SIDE + 40), abs=0.02)
    assert framed.frame_chroma > 15
    assert style_of(small(scene)).frame == 0
    packshot = Image.new("RGB", (SIDE, SIDE), "#d01020")
    packshot.paste(scene.crop((0, 0, 150, 150)), (117, 117))
    assert style_of(small(packshot)).frame == 0


def test_a_badge_is_a_strong_colour_in_one_corner(scene: Image.Image) -> None:
    grey = scene.convert("L").convert("RGB")
    badged = grey.copy()
    ImageDraw.Draw(badged).ellipse((270, 15, 370, 115), fill="#e01020")
    assert style_of(small(badged)).badge > 0.3
    assert style_of(small(grey)).badge == 0
    # Red all over is no badge.
    ImageDraw.Draw(badged).rectangle((0, 200, SIDE, SIDE), fill="#e01020")
    assert style_of(small(badged)).badge == 0


def test_a_file_gives_its_facts_at_its_own_size_and_a_drawing_has_no_quality(
    scene: Image.Image,
) -> None:
    large = scene.resize((2 * SIDE, 2 * SIDE))
    found = facts(large)
    assert found.quality is not None
    assert found.quality.detail == quality_of(large.convert("L")).detail
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    assert read_facts(svg, max_pixels=10**6).quality is None
    assert decode(svg, size=8, max_pixels=10**6).media_type == "image/svg+xml"
