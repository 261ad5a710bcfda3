"""Ten edits that sites make of a photograph, as bytes; the same for the same photograph."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from PIL import Image, ImageDraw, ImageEnhance, ImageOps

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
