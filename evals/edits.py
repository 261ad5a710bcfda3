"""Edits that sites make of a picture, as bytes; the same for the same picture."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from evals.photos import jpeg

THUMBNAIL = 128
PADDING = 0.12
"""Of each side, white."""


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)))


def _crop(image: Image.Image, share: float) -> Image.Image:
    """Keep that share of each side, from a place that follows from the picture."""
    digest = hashlib.sha256(image.tobytes()).digest()
    width, height = round(image.width * share), round(image.height * share)
    left = round((image.width - width) * digest[0] / 255)
    top = round((image.height - height) * digest[1] / 255)
    return image.crop((left, top, left + width, top + height))


def _square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    return ImageOps.fit(image, (side, side))


def _overlay(image: Image.Image) -> Image.Image:
    """Lay a half transparent banner over the lowest fifth, with words, and a badge in a corner."""
    shown = image.convert("RGBA")
    over = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(over)
    width, height = image.size
    draw.rectangle((0, 0.8 * height, width, height), fill=(20, 20, 20, 200))
    draw.text((0.05 * width, 0.83 * height), "SUMMER SALE", "white", font_size=0.11 * height)
    draw.ellipse((0.03 * width, 0.03 * height, 0.2 * width, 0.03 * height + 0.17 * width), "red")
    return Image.alpha_composite(shown, over).convert("RGB")


def _padded(image: Image.Image) -> Image.Image:
    border = (round(PADDING * image.width), round(PADDING * image.height))
    return ImageOps.expand(image, border, "white")


def _thumbnail(image: Image.Image) -> Image.Image:
    return ImageOps.contain(image, (THUMBNAIL, THUMBNAIL))


EDITS: Mapping[str, Callable[[Image.Image], bytes]] = MappingProxyType(
    {
        "half size": lambda image: jpeg(_scaled(image, 0.5)),
        "thumbnail": lambda image: jpeg(_thumbnail(image)),
        "JPEG quality 20": lambda image: jpeg(image, quality=20),
        "85 % crop": lambda image: jpeg(_crop(image, 0.85)),
        "60 % crop": lambda image: jpeg(_crop(image, 0.6)),
        "square crop": lambda image: jpeg(_square(image)),
        "brightness": lambda image: jpeg(ImageEnhance.Brightness(image).enhance(1.4)),
        "grey": lambda image: jpeg(ImageOps.grayscale(image)),
        "overlay": lambda image: jpeg(_overlay(image)),
        "padding": lambda image: jpeg(_padded(image)),
    }
)
"""The ten that the room `duplicates` has measured from the start."""
PAGE_SIZE = (1_280, 960)
STORY_SIZE = (720, 1_280)
COLLAGE_SIDE = 512


def _beside(image: Image.Image, other: Image.Image) -> Image.Image:
    """Return two pictures side by side, each cut to a square."""
    size = (COLLAGE_SIDE, COLLAGE_SIDE)
    both = Image.new("RGB", (2 * COLLAGE_SIDE + 16, COLLAGE_SIDE), "white")
    both.paste(ImageOps.fit(image, size), (0, 0))
    both.paste(ImageOps.fit(other, size), (COLLAGE_SIDE + 16, 0))
    return both


def _in_page(image: Image.Image, other: Image.Image) -> Image.Image:
    """Return a web page with the picture, in about a third of it, and the other one small."""
    page = Image.new("RGB", PAGE_SIZE, "white")
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, PAGE_SIZE[0], 70), fill=(30, 36, 48))
    draw.text((40, 18), "Northwind   Shop   Journal   About", "white", font_size=28)
    page.paste(ImageOps.contain(image, (760, 560)), (40, 120))
    page.paste(ImageOps.fit(other, (240, 180)), (880, 120))
    for line in range(9):
        draw.rectangle((880, 330 + 36 * line, 1_220 - 30 * (line % 3), 346 + 36 * line), "#c4c8cf")
    draw.text((40, 730), "Stories from the road", "black", font_size=44)
    for line in range(3):
        draw.rectangle((40, 800 + 36 * line, 760 - 60 * line, 816 + 36 * line), fill="#c4c8cf")
    return page


def _story(image: Image.Image) -> Image.Image:
    """Return the picture across an upright screen, over itself blurred."""
    ground = ImageOps.fit(image, STORY_SIZE).filter(ImageFilter.GaussianBlur(30))
    shown = ImageOps.contain(image, (STORY_SIZE[0], STORY_SIZE[1]))
    ground.paste(shown, (0, (STORY_SIZE[1] - shown.height) // 2))
    return ground


def _circle(image: Image.Image) -> Image.Image:
    """Return the largest circle in the middle, on white."""
    square = ImageOps.fit(image, (min(image.size), min(image.size)))
    mask = Image.new("L", square.size)
    ImageDraw.Draw(mask).ellipse((0, 0, *square.size), fill=255)
    return Image.composite(square, Image.new("RGB", square.size, "white"), mask)


def _badge(image: Image.Image) -> Image.Image:
    """Return the picture with a round price tag over a fifth of its width."""
    shown = image.copy()
    draw = ImageDraw.Draw(shown)
    side = 0.22 * image.width
    left, top = 0.74 * image.width, 0.04 * image.height
    draw.ellipse((left, top, left + side, top + side), fill="#d81e3a")
    place = (left + side / 2, top + side / 2)
    draw.text(place, "-30 %", "white", font_size=0.3 * side, anchor="mm")
    return shown


def _narrower(image: Image.Image) -> Image.Image:
    return image.resize((round(0.75 * image.width), image.height))


def _wide(image: Image.Image) -> Image.Image:
    """Return the middle as a strip three times as wide as high."""
    return ImageOps.fit(image, (image.width, round(image.width / 3)))


def _webp(image: Image.Image) -> bytes:
    body = io.BytesIO()
    ImageOps.contain(image, (640, 640)).save(body, "WEBP", quality=60)
    return body.getvalue()


def _duotone(image: Image.Image) -> Image.Image:
    return ImageOps.colorize(ImageOps.grayscale(image), "#1b1464", "#ffb199")


MORE_EDITS: Mapping[str, Callable[[Image.Image, Image.Image], bytes]] = MappingProxyType(
    {
        "640 px WebP": lambda image, _: _webp(image),
        "sale badge": lambda image, _: jpeg(_badge(image)),
        "75 % of the width": lambda image, _: jpeg(_narrower(image)),
        "strip 3:1": lambda image, _: jpeg(_wide(image)),
        "turned by 5°": lambda image, _: jpeg(image.rotate(5, fillcolor="white")),
        "duotone": lambda image, _: jpeg(_duotone(image)),
        "circle": lambda image, _: jpeg(_circle(image)),
        "story": lambda image, _: jpeg(_story(image)),
        "turned by 90°": lambda image, _: jpeg(image.transpose(Image.Transpose.ROTATE_90)),
        "mirrored": lambda image, _: jpeg(ImageOps.mirror(image)),
        "collage of two": lambda image, other: jpeg(_beside(image, other)),
        "in a page": lambda image, other: jpeg(_in_page(image, other)),
    }
)
"""Harder ones, of a picture and another one that stands beside it."""
