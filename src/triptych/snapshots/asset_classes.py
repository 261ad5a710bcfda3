"""What assets are counted and filtered by: shape, size, names of colours, values of metadata.

Postgres has the same definitions (`postgres/asset_classes.sql`, migration 0036); a test holds both
together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal, get_args

from triptych.model import Colour

Shape = Literal["panorama", "landscape", "square", "portrait", "tall"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
Size = Literal["icon", "small", "medium", "large", "huge"]
SIZES: tuple[Size, ...] = get_args(Size)
"""By the longer side: below 256, 640, 1280 and 2560 pixels, and from there on."""
SIZE_BELOW = (256, 640, 1280, 2560)
ColourName = Literal[
    "black",
    "white",
    "grey",
    "red",
    "orange",
    "brown",
    "yellow",
    "green",
    "teal",
    "blue",
    "purple",
    "pink",
]
COLOUR_NAMES: tuple[ColourName, ...] = get_args(ColourName)
NAMED_SHARE = 0.1
"""The share of a picture that a colour covers at least to count."""
VALUE_MAX_CHARS = 200
"""Longer texts in metadata are not counted by value."""

_NUMBER = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,2})?")
_DAY = re.compile(r"([0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]))([T ].*)?", re.DOTALL)

_GREY_SPREAD = 24
_WHITE_FROM = 232
_BLACK_TO = 40


def shape_of(width: int | None, height: int | None) -> str | None:
    """Return one of `SHAPES`; None for what has no size in pixels."""
    if width is None or height is None:
        return None
    if width >= 2 * height:
        return "panorama"
    if height >= 2 * width:
        return "tall"
    if 10 * width > 11 * height:
        return "landscape"
    return "portrait" if 10 * height > 11 * width else "square"


def size_of(width: int | None, height: int | None) -> str | None:
    """Return one of `SIZES`; None for what has no size in pixels."""
    if width is None or height is None:
        return None
    longer = max(width, height)
    return SIZES[sum(longer >= below for below in SIZE_BELOW)]


def colour_name(rgb: int) -> str:
    """Return one of `COLOUR_NAMES` for ``0xRRGGBB``.

    By its spread and lightness where it has no clear hue, else by its hue, in degrees as in HSL
    (CSS Color Module Level 4), cut to whole numbers.
    """
    red, green, blue = rgb.to_bytes(3, "big")
    high, low = max(red, green, blue), min(red, green, blue)
    if high - low <= _GREY_SPREAD or (high - low) * 8 <= high:
        return "white" if high >= _WHITE_FROM else "black" if high <= _BLACK_TO else "grey"
    return "black" if high <= _BLACK_TO else _by_hue(_hue(red, green, blue), high, low)


def _hue(red: int, green: int, blue: int) -> int:
    high = max(red, green, blue)
    spread = high - min(red, green, blue)
    if high == red:
        return (360 + math.trunc(60 * (green - blue) / spread)) % 360
    if high == green:
        return 120 + math.trunc(60 * (blue - red) / spread)
    return 240 + math.trunc(60 * (red - green) / spread)


def _by_hue(hue: int, high: int, low: int) -> str:
    if hue < 15 or hue >= 345:
        return "pink" if low >= 140 else "red"
    if hue < 45:
        return "brown" if high <= 165 else "orange"
    bounds = ((70, "yellow"), (165, "green"), (200, "teal"), (260, "blue"), (300, "purple"))
    return next((name for below, name in bounds if hue < below), "pink")


def colour_names(colours: Sequence[Colour]) -> list[str]:
    """Return the names of the colours that cover at least `NAMED_SHARE`, each once."""
    return sorted({colour_name(each.rgb) for each in colours if each.share >= NAMED_SHARE})


def metadata_values(entry: Any) -> list[str]:
    """Return the countable values of a metadata column, each once.

    Texts, numbers and truth values as JSON writes them, of at most `VALUE_MAX_CHARS`; of a list,
    its entries.
    """
    entries = entry if isinstance(entry, list) else [entry]
    texts = {text for each in entries if (text := _text(each)) is not None}
    return sorted(text for text in texts if text.strip(" ") and len(text) <= VALUE_MAX_CHARS)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # Without an exponent, as Postgres writes the numbers of a document.
        return format(Decimal(repr(value or 0.0)), "f")
    return str(value) if isinstance(value, (str, int)) else None


def number_in(value: str) -> float | None:
    """Return a text as a number, where it is written as one."""
    return float(value) if _NUMBER.fullmatch(value) else None


def day_in(value: str) -> str | None:
    """Return the day that a text begins with, where it is written as in ISO 8601."""
    found = _DAY.fullmatch(value)
    return None if found is None else found[1]
