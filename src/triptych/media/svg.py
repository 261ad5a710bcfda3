"""SVG into pixels, without external resources.

The renderer would read any file that an ``<image>`` names. Such references are removed: only data
URLs and the document itself may be referenced. It has no scripts and no network access.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import resvg_py
from lxml import etree
from PIL import Image

from triptych.errors import PermanentItemError
from triptych.media.svg_cost import Document, TooCostly, check_cost
from triptych.media.svg_source import UNPACKED_MAX_BYTES, TooLarge, looks_like_svg, svg_source
from triptych.media.svg_style import Unsupported, needs_styling, put_in_place
from triptych.model import Reason

ROOT = "{http://www.w3.org/2000/svg}svg"
TEXT = "{http://www.w3.org/2000/svg}text"
SIDE_MAX = 1_000_000
ELEMENTS_MAX = 200_000
UNSTATED = 100.0
"""Side, in its units, of a document that states no size: the renderer's default."""
NAME_SHOWN_CHARS = 100
LENGTH = re.compile(r"\s*([0-9.]+(?:e[+-]?\d+)?)\s*(px|pt|pc|mm|cm|in|q|)\s*", re.IGNORECASE)
PIXELS_IN: Mapping[str, float] = MappingProxyType(
    {
        "": 1,
        "px": 1,
        "pt": 96 / 72,
        "pc": 16,
        "mm": 96 / 25.4,
        "cm": 96 / 2.54,
        "in": 96,
        "q": 0.945,
    }
)


def rasterise(body: bytes, side: int) -> tuple[Image.Image, int, int]:
    """Return the picture as RGBA, with its longer side ``side`` pixels, and its stated size.

    Text is drawn with the system's fonts.

    Raises:
        PermanentItemError: it is not an SVG, or cannot be drawn.
    """
    root = _styled(body)
    width, height = _size(root)
    try:
        check_cost(_document(root), side=side, inner=_inner)
    except TooCostly as error:
        raise _undecodable(str(error)) from error
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=etree.tostring(root, encoding="unicode"),
            width=side,
            height=side,
            dpi=PIXELS_IN["in"],
            # Loading fonts takes longer than drawing.
            skip_system_fonts=next(root.iter(TEXT), None) is None,
        )
    except ValueError as error:
        raise _undecodable(str(error)) from error
    image = Image.open(io.BytesIO(png), formats=("PNG",))
    image.load()
    if width is None or height is None:
        width, height = image.size
    return image.convert("RGBA"), width, height


def _styled(body: bytes) -> Any:
    """Return the document as the renderer takes it: with its styles and CSS variables in place."""
    root = _parse(body)
    if needs_styling(etree.tostring(root, encoding="unicode")):
        try:
            put_in_place(root)
        except Unsupported as error:
            raise _undecodable(str(error)) from error
    return root


def _document(root: Any) -> Document:
    width, height = _box(root) or _size(root)
    return Document(root, width or UNSTATED, height or UNSTATED)


def _inner(body: bytes) -> Document | None:
    """Return the document of a picture within another one; None if it is no SVG."""
    return _document(_styled(body)) if looks_like_svg(body) else None


def _parse(body: bytes) -> Any:
    parser = etree.XMLParser(
        resolve_entities="internal",
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(svg_source(body), parser)
    except TooLarge as error:
        raise _undecodable(f"more than {UNPACKED_MAX_BYTES} bytes, unpacked") from error
    except etree.XMLSyntaxError as error:
        raise _undecodable(str(error)) from error
    if root.tag != ROOT:
        detail = f"XML that is not SVG: its first element is {root.tag[:NAME_SHOWN_CHARS]}"
        raise PermanentItemError(Reason.NOT_AN_IMAGE, detail)
    for count, element in enumerate(root.iter()):
        if count > ELEMENTS_MAX:
            raise _undecodable(f"more than {ELEMENTS_MAX} elements")
        for name, value in element.attrib.items():
            # With or without a namespace, of whatever prefix.
            if str(name).rpartition("}")[2] == "href" and not _harmless(str(value)):
                del element.attrib[name]
    return root


def _harmless(reference: str) -> bool:
    return reference.lstrip().startswith(("#", "data:"))


def _size(root: Any) -> tuple[int, int] | tuple[None, None]:
    """Return the document's stated size in pixels; None if there is none."""
    width, height = _length(root.get("width")), _length(root.get("height"))
    if (box := _box(root)) is not None:
        box_width, box_height = box
        if width and not height:
            height = width * box_height / box_width
        elif height and not width:
            width = height * box_width / box_height
        width, height = width or box_width, height or box_height
    if not width or not height:
        return None, None
    return _whole(width), _whole(height)


def _box(root: Any) -> tuple[float, float] | None:
    """Return the size of the document's view box in its units; None if it has none."""
    numbers = re.split(r"[\s,]+", str(root.get("viewBox", "")).strip())
    if len(numbers) != 4:
        return None
    width, height = _length(numbers[2]), _length(numbers[3])
    return (width, height) if width and height else None


def _length(text: object) -> float | None:
    matched = LENGTH.fullmatch(str(text))
    try:
        return float(matched[1]) * PIXELS_IN[matched[2].lower()] if matched else None
    except ValueError:
        return None


def _whole(length: float) -> int:
    return max(1, round(min(length, SIDE_MAX))) if math.isfinite(length) else SIDE_MAX


def _undecodable(why: str) -> PermanentItemError:
    return PermanentItemError(Reason.UNDECODABLE, f"SVG: {why}")
