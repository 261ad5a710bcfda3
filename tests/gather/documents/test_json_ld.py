"""Pictures in JSON-LD."""

from __future__ import annotations

import json
from typing import Any

import pytest

from triptych.gather.documents.json_ld import LEVELS_MAX, json_ld_pictures


def found(value: Any) -> list[tuple[str, dict[str, str]]]:
    return [(url, dict(about)) for url, about in json_ld_pictures(json.dumps(value))]


def test_a_products_pictures_have_its_name_and_sku() -> None:
    product = {
        "@context": "https://schema.org",
        "@graph": [
            {
                "@type": ["Product", "Thing"],
                "name": " Shoe ",
                "sku": "S1",
                "image": ["a.jpg", {"@type": "ImageObject", "contentUrl": "b.jpg", "caption": "B"}],
                "hasVariant": {"@type": "Product", "sku": "S2", "image": {"url": "c.jpg"}},
            }
        ],
    }
    assert found(product) == [
        ("a.jpg", {"product": "Shoe", "sku": "S1"}),
        ("b.jpg", {"product": "Shoe", "sku": "S1", "alt": "B"}),
        ("c.jpg", {"product": "Shoe", "sku": "S2"}),
    ]


@pytest.mark.parametrize(
    "value",
    [None, 7, "x", [], {}, {"@type": 3}, {"@type": [None, {}]}, {"image": [None, 7, {}, []]}],
)
def test_what_names_no_picture_has_none(value: Any) -> None:
    assert found(value) == []


@pytest.mark.parametrize("text", ["", "{", "<!-- {} -->", "[" * 100_000, "{}{}"])
def test_g8_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        list(json_ld_pictures(text))


def test_g8_what_is_nested_too_deeply_is_refused() -> None:
    deep: Any = {"image": "a.jpg"}
    for _ in range(LEVELS_MAX + 1):
        deep = {"inner": deep}
    with pytest.raises(ValueError, match="levels"):
        found(deep)
