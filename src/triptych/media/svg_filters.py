"""What the filters of an SVG cost for each pixel (Filter Effects 1, as resvg computes them)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

PRIMITIVE_NS = 120.0
"""Of one core for each pixel, measured with resvg-py 0.5; for primitives not named below."""
NS: Mapping[str, float] = MappingProxyType(
    {
        "feGaussianBlur": 350.0,
        "feDropShadow": 600.0,
        "feTurbulence": 300.0,
        "feBlend": 250.0,
        "feDiffuseLighting": 170.0,
        "feSpecularLighting": 190.0,
        "feComponentTransfer": 200.0,
        "feImage": 400.0,
    }
)
OCTAVE_NS = 95.0
CELL_NS = 5.0
"""For each coefficient of a matrix, and each pixel of a window."""
MERGED_NS = 60.0
FUNCTION_NS = 350.0
DEFAULT_REGION = 1.2 * 1.2
"""Of the element's box: 10 % more on each side."""
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
CALL = re.compile(r"([a-z-]+)\(\s*['\"]?\s*(#[^'\")]*)?", re.IGNORECASE)
NUMBERS_MAX = 2
INFINITE = 1e18


@dataclass(frozen=True, slots=True)
class Region:
    """Where a filter computes."""

    size: float
    """Square units, or a factor of the element's box."""
    in_units: bool

    def pixels(self, box: float, zoom: float, *, most: float) -> float:
        """Return its pixels, at most ``most``, for an element of ``box`` pixels."""
        size = self.size * (zoom if self.in_units else box)
        return min(most, size)  # In this order: it may be no number.


def filters_of(text: str, ids: Mapping[str, Any]) -> Iterator[tuple[Sequence[Any], Region]]:
    """Yield the primitives and the region of each filter in a ``filter`` property.

    A function of CSS is one primitive: its name.
    """
    for name, target in CALL.findall(text):
        if name.lower() != "url":
            yield [name], Region(DEFAULT_REGION, in_units=False)
        elif (element := ids.get(target[1:].strip())) is not None:
            yield [child for child in element if isinstance(child.tag, str)], _region(element)


def cost_per_pixel(primitive: Any, *, scale: float, side: int) -> tuple[str, float]:
    """Return a primitive's name, and what it costs for each pixel in nanoseconds.

    ``scale`` is pixels a unit; no window is larger than ``side``.
    """
    if isinstance(primitive, str):
        return f"{primitive}()", FUNCTION_NS
    name = str(primitive.tag).rpartition("}")[2]
    cost = NS.get(name, PRIMITIVE_NS)
    if name == "feTurbulence":
        cost += OCTAVE_NS * max(0.0, _numbers(primitive, "numOctaves", 1.0)[0])
    elif name == "feMorphology":
        if primitive.getparent().get("primitiveUnits") == "objectBoundingBox":
            scale = float(side)
        x, y = _numbers(primitive, "radius", 0.0)
        cost += CELL_NS * min(2 * abs(x) * scale, side) * min(2 * abs(y) * scale, side)
    elif name == "feConvolveMatrix":
        x, y = _numbers(primitive, "order", 3.0)
        cost += CELL_NS * abs(x * y)
    elif name == "feMerge":
        cost += MERGED_NS * len(primitive)
    return name, min(cost, INFINITE)


def _numbers(element: Any, name: str, default: float) -> tuple[float, float]:
    """Return the two numbers of an attribute, of which the second may be left out."""
    found = [float(each) for each in NUMBER.findall(element.get(name) or "")[:NUMBERS_MAX]]
    first = min(found[0], INFINITE) if found else default
    return first, min(found[-1], INFINITE) if found else default


def _region(element: Any) -> Region:
    in_units = element.get("filterUnits") == "userSpaceOnUse"
    sides = []
    for name in ("width", "height"):
        text = (element.get(name) or "").strip()
        found = NUMBER.match(text)
        if found is None or (in_units and text.endswith("%")):
            return Region(INFINITE if in_units else DEFAULT_REGION, in_units)
        sides.append(abs(float(found[0])) / (100 if text.endswith("%") else 1))
    return Region(min(sides[0] * sides[1], INFINITE), in_units)
