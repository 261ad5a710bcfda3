"""Words of a query in tags, file names, metadata and brands' names."""

from __future__ import annotations

from typing import Any

import pytest

from triptych.snapshots.word_match import (
    Field,
    Found,
    file_name,
    match_words,
    needles_of,
    singular,
    words_of,
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("cow", ("cow",)),
        ("Cows and a cow", ("cow",)),
        ("a pig", ("pig",)),
        ("the", ("the",)),
        ("assets-P042", ("asset", "p042")),
        ("Product 3", ("product", "3")),
        ("berries in boxes", ("berry", "box")),
        ("Café", ("café",)),
        ("!?", ()),
    ],
)
def test_a_query_has_words(query: str, expected: tuple[str, ...]) -> None:
    assert words_of(query) == expected


def test_words_are_bounded() -> None:
    assert len(words_of(" ".join(f"word{number}" for number in range(100)))) == 12


@pytest.mark.parametrize("word", ["glass", "bus", "iris", "gas", "as"])
def test_what_only_looks_like_a_plural_stays(word: str) -> None:
    assert singular(word) == word


def test_needles_are_parts_of_every_form_that_matches() -> None:
    assert all(needle in "berries" for needle in needles_of("berry"))
    assert "caf%c3%a9" in needles_of("café")


def found(query: str, **has: Any) -> Found:
    given = {"tags": [], "url": "https://x.example/p/7.png", "metadata": {}, "brand": "nike"}
    return match_words(words_of(query), **(given | has))


@pytest.mark.parametrize(
    ("query", "has", "fields"),
    [
        ("cow", {"tags": ["cow"]}, {Field.TAG}),
        ("sale", {"text": "Summer SALE\n-50 %"}, {Field.TEXT}),
        ("summer nike", {"text": "Summer SALE"}, {Field.TEXT, Field.BRAND}),
        ("cows", {"tags": ["cow"]}, {Field.TAG}),
        ("polar bear", {"tags": ["polar bear"]}, {Field.TAG}),
        ("assets-P042", {"url": "https://x/i/assets-P042.jpg?w=3"}, {Field.NAME}),
        ("alibaba", {"url": "https://x/alibabacloud.svg"}, {Field.NAME}),
        ("logo", {"url": "https://x/ParisLogo.svg"}, {Field.NAME}),
        ("café", {"url": "https://x/Caf%C3%A9%20au%20lait.png"}, {Field.NAME}),
        ("Product 3", {"metadata": {"title": "Product 3"}}, {Field.METADATA}),
        ("summer", {"metadata": {"about": [{"campaign": "Summer 26"}]}}, {Field.METADATA}),
        ("19", {"metadata": {"price": 19}}, {Field.METADATA}),
        ("nike", {}, {Field.BRAND}),
        ("red cow", {"tags": ["cow"], "url": "https://x/red-7.png"}, {Field.TAG, Field.NAME}),
    ],
)
def test_words_are_found_where_they_are(
    query: str, has: dict[str, Any], fields: set[Field]
) -> None:
    said = found(query, **has)
    assert (set(said.fields), said.whole) == (fields, True)


@pytest.mark.parametrize(
    ("query", "has"),
    [
        ("title", {"metadata": {"title": "Product 3"}}),
        ("true", {"metadata": {"sold": True}}),
        ("example", {}),
        ("at", {"tags": ["cat"]}),
        ("?", {"tags": ["cat"]}),
    ],
)
def test_what_is_no_word_of_an_asset_is_not_found(query: str, has: dict[str, Any]) -> None:
    assert found(query, **has) == Found(0.0, False, ())


def test_tags_come_before_names_before_metadata_before_the_brand() -> None:
    shares = [
        found("cow", tags=["cow"]),
        found("cow", url="https://x/cow.png"),
        found("cow", metadata={"alt": "a cow"}),
        found("cow", brand="cow"),
        found("cow", brand="cows-and-co"),
    ]
    values = [said.share for said in shares]
    assert values[:4] == sorted(set(values[:4]), reverse=True)
    half = found("cow herd", tags=["cow"])
    assert (half.whole, half.share) == (False, 0.5)


def test_a_url_without_a_name_has_none() -> None:
    assert [file_name(url) for url in ("https://x/", "https://x", "https://[")] == ["", "", ""]
