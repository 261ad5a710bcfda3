"""Pictures that a page's JSON-LD names (https://schema.org/image, ImageObject)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from triptych.gather.lists.bounds import VALUES_MAX
from triptych.gather.sources.json_text import count_values, read_json

LEVELS_MAX = 32
"""Levels of objects and lists in which pictures are looked for."""
IMAGE_OBJECT = "ImageObject"
NAMED = frozenset({"Product", "ProductGroup", "IndividualProduct", "SomeProducts", "ProductModel"})
"""Types whose name and SKU are kept with their pictures."""


def json_ld_pictures(text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the pictures of a script element, each with what is said of it.

    Raises:
        ValueError: it is no JSON, or nested in more than `LEVELS_MAX` levels.
    """
    body = text.encode("utf-8", "replace")
    if count_values(body) > VALUES_MAX:
        raise ValueError(f"it has more than {VALUES_MAX} values")
    yield from _within(read_json(body), {}, LEVELS_MAX)


def _within(
    value: Any, about: Mapping[str, str], levels: int
) -> Iterator[tuple[str, Mapping[str, str]]]:
    if not isinstance(value, list | dict):
        return
    if not levels:
        raise ValueError(f"it is nested in more than {LEVELS_MAX} levels")
    if isinstance(value, list):
        for each in value:
            yield from _within(each, about, levels - 1)
        return
    types = value.get("@type")
    names = {each for each in (types if isinstance(types, list) else [types]) if _is_text(each)}
    if IMAGE_OBJECT in names:
        yield from _image_object(value, about)
    if names & NAMED:
        about = {**about, **_texts(value, {"name": "product", "sku": "sku"})}
    for name, each in value.items():
        if name == "image":
            yield from _images(each, about, levels - 1)
        else:
            yield from _within(each, about, levels - 1)


def _images(
    value: Any, about: Mapping[str, str], levels: int
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield what ``image`` names: a URL, an object, or several of them."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str):
            yield each, about
        elif isinstance(each, dict) and "@type" not in each:
            yield from _image_object(each, about)
        else:
            yield from _within(each, about, levels)


def _image_object(
    value: Mapping[str, Any], about: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    for name in ("contentUrl", "url"):
        if isinstance(url := value.get(name), str):
            yield url, {**about, **_texts(value, {"name": "alt", "caption": "alt"})}
            return


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    found = {wanted: value.get(name) for name, wanted in names.items()}
    return {name: text.strip() for name, text in found.items() if isinstance(text, str) and text}
