"""What an SVG would cost to draw, estimated before it is drawn.

Two kilobytes of filters, or of elements that use each other, can take any time. The estimate
follows references as the renderer does (uses, patterns, masks, clip paths, markers, pictures of
filters) and adds up what each element, layer, paint and filter primitive costs for the pixels that
it touches. It is of the renderer's order of magnitude and no more: what it lets pass still has a
deadline of CPU time. Where it cannot know how large something is, it assumes little, so that only
what could surely not be drawn in time is refused.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_to_bytes

from PIL import Image

from triptych.media.svg_filters import cost_per_pixel, filters_of

SECONDS_MAX = 5.0
"""Estimated CPU time of a drawing; real ones take less than a second."""
DEPTH_MAX = 200
"""Elements within elements, with what they refer to."""
VISITS_MAX = 250_000
"""Elements looked at. What is referred to often is looked at once for each way it is painted."""
UNKNOWN_SHARE = 0.1
"""Of the drawing, for shapes whose size is not looked for."""
# Nanoseconds of one core, measured with resvg-py 0.5.
ELEMENT_NS = 10_000.0
LETTER_NS = 20_000.0
COORDINATE_NS = 1_000.0
"""Of a path, for each coordinate; its stroke takes most of it."""
FILL_NS = 0.5
"""This and the following for each pixel."""
GRADIENT_NS = 50.0
PATTERN_NS = 380.0
LAYER_NS = 40.0
CLIP_NS = 60.0
MASK_NS = 75.0
PICTURE_NS = 400.0
DECODED_NS = 20.0
"""For each pixel of a picture within the drawing."""
WITHIN = "pictures within it"
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
"""Of pictures within an SVG."""
SHAPES = frozenset({"path", "rect", "circle", "ellipse", "line", "polyline", "polygon"})
REFERRED = frozenset({"symbol", "pattern", "mask", "clipPath", "marker"})
"""Drawn where something refers to them, and not where they are."""
CONTAINERS = frozenset({"svg", "g", "a", "switch", "use", "text", "image", *SHAPES})
INHERITED = ("fill", "stroke", "marker-start", "marker-mid", "marker-end", "marker")
PROPERTIES = (*INHERITED, "filter", "mask", "clip-path", "opacity", "mix-blend-mode", "isolation")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
REFERENCE = re.compile(r"url\(\s*['\"]?\s*#([^'\")]+?)['\"]?\s*\)")
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
TRANSFORM = re.compile(r"(\w+)\s*\(([^)]*)\)")

Costs = dict[str, float]
"""Nanoseconds by what they are spent on."""


class TooCostly(Exception):
    """The text of the error says what would take too long, and the limit."""


@dataclass(frozen=True, slots=True)
class Document:
    """An SVG, of lxml, with its styles in place."""

    root: Any
    width: float
    """Of what is drawn, in the document's units. With ``height`` it says what they are."""
    height: float


@dataclass(frozen=True, slots=True)
class Place:
    """What an element has from those around it, and from those that refer to it."""

    zoom: float
    """Pixels of one square unit."""
    depth: int
    painted: tuple[str, ...] = ("",) * len(INHERITED)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What an element costs, and how many pixels it touches."""

    costs: Mapping[str, float]
    pixels: float


NOTHING = Drawn(MappingProxyType({}), 0.0)


def check_cost(document: Document, *, side: int, inner: Callable[[bytes], Document | None]) -> None:
    """Refuse an SVG that would take too long to draw.

    Args:
        document: the SVG.
        side: the longer side of the drawing in pixels.
        inner: returns the document of a picture within it, None if that is no SVG; may raise.

    Raises:
        TooCostly: it would take more than `SECONDS_MAX`, as estimated.
    """
    total = _Estimate(document, side, inner).total()
    seconds = sum(total.values()) / 1e9
    if seconds > SECONDS_MAX:
        what = max(total, key=lambda each: total[each])
        share = total[what] / 1e9 / seconds
        raise TooCostly(
            f"drawing it would take about {_shown(seconds)} s, {share:.0%} of it for {what}; "
            f"{SECONDS_MAX:g} s are allowed"
        )


def _shown(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds < 1e6 else f"{seconds:.0e}"


class _Estimate:
    """Adds up the costs of one document."""

    def __init__(
        self, document: Document, side: int, inner: Callable[[bytes], Document | None]
    ) -> None:
        self._root = root = document.root
        self._side = side
        self._inner = inner
        self._width, self._height = document.width, document.height
        across = self._width / self._height
        self._pixels = max(1.0, side * side * min(across, 1 / across))
        self._decoded: dict[Any, Mapping[str, float]] = {}
        self._ids = {id_: each for each in root.iter() if (id_ := each.get("id"))}
        self._known: dict[tuple[Any, Place], Drawn] = {}
        self._open: set[Any] = set()
        self._visits = 0

    def total(self) -> Costs:
        zoom = self._pixels / (self._width * self._height)
        return dict(self._children(self._root, Place(zoom, 0)).costs)

    def _children(self, element: Any, place: Place) -> Drawn:
        if place.depth > DEPTH_MAX:
            raise TooCostly(f"more than {DEPTH_MAX} elements within or used by each other")
        inner = replace(place, depth=place.depth + 1)
        costs: Costs = defaultdict(float)
        pixels = 0.0
        for child in element:
            if not isinstance(child.tag, str) or _name(child) not in CONTAINERS:
                continue
            drawn = self._element(child, inner)
            _add(costs, drawn.costs)
            pixels += drawn.pixels
        return Drawn(costs, min(pixels, self._pixels))

    def _element(self, element: Any, place: Place) -> Drawn:
        self._visits += 1
        if self._visits > VISITS_MAX:
            raise TooCostly(f"more than {VISITS_MAX} elements, with all that is used again")
        style = _style(element)
        place = replace(
            place,
            zoom=_at_most(place.zoom * _zoom(element), self._pixels),
            painted=tuple(
                style.get(name) or outer
                for name, outer in zip(INHERITED, place.painted, strict=True)
            ),
        )
        name = _name(element)
        if name in SHAPES:
            drawn = self._shape(element, place)
        elif name == "use":
            drawn = self._referred(_target(element), place)
        elif name == "image":
            drawn = self._picture(element, place)
        elif name == "text":
            letters = sum(len(text) for text in element.itertext())
            drawn = Drawn({"text": letters * LETTER_NS}, UNKNOWN_SHARE * self._pixels)
        else:
            drawn = self._children(element, place)
        costs = defaultdict(float, drawn.costs)
        costs["elements"] += ELEMENT_NS
        self._add_layers(costs, style, drawn.pixels, place)
        return Drawn(costs, drawn.pixels)

    def _shape(self, element: Any, place: Place) -> Drawn:
        pixels = self._area(element, place)
        points = element.get("d") or element.get("points") or ""
        coordinates = len(points) / 4
        costs: Costs = defaultdict(float)
        costs |= {"paths": coordinates * COORDINATE_NS, "shapes": pixels * FILL_NS}
        fill, stroke, *markers = place.painted
        for paint in (fill, stroke):
            for id_ in REFERENCE.findall(paint):
                target = self._ids.get(id_)
                if target is None:
                    continue
                if _name(target) == "pattern":
                    costs["patterns"] += pixels * PATTERN_NS
                    _add(costs, self._referred(f"#{id_}", place).costs)
                else:
                    costs["gradients"] += pixels * GRADIENT_NS
        for id_ in {id_ for marker in markers for id_ in REFERENCE.findall(marker)}:
            one = self._referred(f"#{id_}", replace(place, painted=("",) * len(INHERITED))).costs
            _add(costs, one, coordinates / 2)
        return Drawn(costs, pixels)

    def _area(self, element: Any, place: Place) -> float:
        """Return the pixels of a shape or picture; little if its size is not looked for."""
        size: tuple[float | None, float | None] = (None, None)
        name = _name(element)
        if name in {"rect", "image"}:
            size = self._length(element, "width", 0), self._length(element, "height", 1)
        elif name == "circle":
            radius = self._length(element, "r", 0)
            size = (2 * radius, 2 * radius) if radius is not None else size
        elif name == "ellipse":
            rx, ry = self._length(element, "rx", 0), self._length(element, "ry", 1)
            size = (2 * rx if rx is not None else None, 2 * ry if ry is not None else None)
        if size[0] is None or size[1] is None:
            return UNKNOWN_SHARE * self._pixels
        return _at_most(abs(size[0] * size[1]) * place.zoom, self._pixels)

    def _length(self, element: Any, name: str, axis: int) -> float | None:
        text = element.get(name, "")
        found = NUMBER.match(text.strip())
        if found is None:
            return None
        whole = self._height if axis else self._width
        number = float(found[0])
        return number * whole / 100 if text.strip().endswith("%") else number

    def _picture(self, element: Any, place: Place) -> Drawn:
        pixels = self._area(element, place)
        if element not in self._decoded:
            self._decoded[element] = self._decoding(_target(element))
        costs = defaultdict(float, self._decoded[element])
        costs[WITHIN] += pixels * PICTURE_NS
        return Drawn(costs, pixels)

    def _decoding(self, reference: str) -> Mapping[str, float]:
        """Return what it costs to decode, or to draw, the picture of a data URL."""
        body = _data(reference)
        document = self._inner(body) if body else None
        if document is not None:
            # The renderer draws no pictures within pictures.
            return _Estimate(document, self._side, lambda _: None).total()
        try:
            with warnings.catch_warnings(), Image.open(io.BytesIO(body), formats=FORMATS) as image:
                return {WITHIN: image.width * image.height * DECODED_NS}
        except Exception:  # noqa: BLE001 - Pillow raises almost anything; not a picture, so not drawn
            return {}

    def _referred(self, target: str, place: Place) -> Drawn:
        """Return what it costs to draw what an element refers to, if it is in the document."""
        element = self._ids.get(target.removeprefix("#").strip()) if "#" in target[:1] else None
        if element is None or element in self._open:
            return NOTHING  # The renderer draws nothing that is in itself, either.
        # What it is drawn into is not known: how often it is seen there is.
        key = (element, replace(place, depth=0))
        if key not in self._known:
            self._open.add(element)
            deeper = replace(place, depth=place.depth + 1)
            if _name(element) in REFERRED:
                self._known[key] = self._children(element, deeper)
            elif _name(element) in CONTAINERS:
                self._known[key] = self._element(element, deeper)
            else:
                self._known[key] = NOTHING
            self._open.discard(element)
        return self._known[key]

    def _add_layers(
        self, costs: Costs, style: Mapping[str, str], pixels: float, place: Place
    ) -> None:
        """Add what the filters, masks, clip paths and transparency of an element cost."""
        for name, what, per_pixel in (("mask", "masks", MASK_NS), ("clip-path", "clips", CLIP_NS)):
            for id_ in REFERENCE.findall(style.get(name, "")):
                costs[what] += pixels * per_pixel
                _add(costs, self._referred(f"#{id_}", place).costs)
        if _is_layer(style):
            costs["layers"] += pixels * LAYER_NS
        if not (text := style.get("filter", "")):
            return
        scale = math.sqrt(place.zoom)
        for primitives, region in filters_of(text, self._ids):
            area = region.pixels(pixels, place.zoom, most=self._pixels)
            for primitive in primitives:
                name, per_pixel = cost_per_pixel(primitive, scale=scale, side=self._side)
                costs[name] += area * per_pixel
                if name == "feImage":
                    _add(costs, self._referred(_target(primitive), place).costs)


def _at_most(value: float, most: float) -> float:
    """Return the smaller one; ``most`` for what is no number."""
    return min(most, value)  # In this order.


def _data(reference: str) -> bytes:
    """Return the bytes of a data URL (RFC 2397); none if it is broken."""
    head, comma, data = reference.partition(",")
    if not comma or not head.lower().startswith("data:"):
        return b""
    body = unquote_to_bytes(data)
    if not head.lower().rstrip().endswith(";base64"):
        return body
    try:
        return base64.b64decode(body + b"==")
    except binascii.Error:
        return b""


def _add(costs: Costs, more: Mapping[str, float], times: float = 1.0) -> None:
    for what, cost in more.items():
        costs[what] += cost * times


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _target(element: Any) -> str:
    """Return what an element refers to, with or without a namespace."""
    found = (str(v) for k, v in element.attrib.items() if str(k).rpartition("}")[2] == "href")
    return next(found, "").strip()


def _style(element: Any) -> dict[str, str]:
    """Return the properties that cost something, from attributes and the element's own style."""
    found = {name: str(element.get(name)) for name in PROPERTIES if element.get(name)}
    text = element.get("style")
    if text:
        found |= dict(_declared(COMMENT.sub("", str(text))))
    return found


def _declared(text: str) -> Iterator[tuple[str, str]]:
    for each in text.split(";"):
        name, _, value = each.partition(":")
        if (name := name.strip().lower()) in PROPERTIES:
            yield name, value.strip()


def _is_layer(style: Mapping[str, str]) -> bool:
    opacity = style.get("opacity", "1").strip()
    return (
        opacity not in {"1", "1.0", "100%", ""}
        or style.get("mix-blend-mode", "normal") != "normal"
        or style.get("isolation", "auto") == "isolate"
    )


def _zoom(element: Any) -> float:
    """Return by what factor an element enlarges areas; infinite if that is not looked for."""
    if element.get("viewBox") and _name(element) == "svg":
        return math.inf
    zoom = 1.0
    for kind, arguments in TRANSFORM.findall(element.get("transform") or ""):
        numbers = [float(n) for n in NUMBER.findall(arguments)]
        if kind == "scale" and numbers:
            zoom *= abs(numbers[0] * numbers[-1])
        elif kind == "matrix" and len(numbers) == 6:
            zoom *= abs(numbers[0] * numbers[3] - numbers[1] * numbers[2])
    return zoom if math.isfinite(zoom) else math.inf
