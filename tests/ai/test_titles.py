"""Titles are taken from the fields that name a picture, and from no others."""

from __future__ import annotations

from triptych.ai.titles import TITLE_MAX_CHARS, TITLES_MAX, titles_of


def test_titles_come_from_the_fields_that_name_a_picture() -> None:
    metadata = {
        "g:title": " Air fryer ",
        "Product-Type": "Kitchen",
        "alt": "Air fryer",
        "price": "ten",
        "vendor": "Acme",
    }
    assert titles_of(metadata) == ("Air fryer", "Kitchen")


def test_what_is_no_title_is_left_out() -> None:
    long = "x" * (TITLE_MAX_CHARS + 1)
    odd = {"title": long, "name": 7, "alt": "12", "caption": "see https://x", "label": ""}
    assert titles_of(odd) == ()


def test_the_first_titles_count() -> None:
    names = ["title", "name", "label", "alt", "caption"]
    assert titles_of({name: f"a {name}" for name in names}) == tuple(
        f"a {name}" for name in names[:TITLES_MAX]
    )
