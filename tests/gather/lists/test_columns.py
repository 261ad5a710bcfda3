"""Which columns hold the URLs, by the names that public feeds use."""

from __future__ import annotations

import pytest

from triptych.gather.lists.columns import cell_urls, choose_columns, find_column

A, B = "https://cdn.example/a.jpg", "https://cdn.example/b,c.jpg"


@pytest.mark.parametrize(
    ("names", "urls"),
    [
        (["url", "title"], ["url"]),
        (["URL", "TEXT"], ["URL"]),
        ([" Url ", "x"], [" Url "]),
        (
            ["id", "link", "image_link", "additional_image_link"],
            ["image_link", "additional_image_link"],
        ),
        (["g:id", "g:image_link"], ["g:image_link"]),
        (["Handle", "Image Src", "Image Position", "Image Alt Text"], ["Image Src"]),
        (["Handle", "Image Src", "Variant Image"], ["Image Src", "Variant Image"]),
        (["SKU", "Images"], ["Images"]),
        (
            ["sku", "main_image_url", "other_image_url1", "other_image_url2"],
            ["main_image_url", "other_image_url1", "other_image_url2"],
        ),
        (["image_1", "image_2", "name"], ["image_1", "image_2"]),
        (["ImageURL", "name"], ["ImageURL"]),
        (["picture", "text"], ["picture"]),
    ],
)
def test_feeds_are_known_by_their_columns(names: list[str], urls: list[str]) -> None:
    found = choose_columns(names)
    assert found is not None
    assert list(found.urls) == urls


@pytest.mark.parametrize("names", [[], ["link", "title"], ["image alt text"], ["curl"]])
def test_other_columns_hold_no_urls(names: list[str]) -> None:
    assert choose_columns(names) is None


def test_a_chosen_column_is_found_apart_from_case_and_blanks() -> None:
    assert find_column("photo", [" Photo ", "x"]) == " Photo "
    assert find_column("Photo", ["photo", "Photo"]) == "Photo"
    assert find_column("none", ["photo"]) is None


@pytest.mark.parametrize(
    ("cell", "urls"),
    [
        (A, [A]),
        (f" {B} ", [B]),
        (f"{A}, {B}", [A, B]),
        (f"{A},{B}", [A, B]),
        (f"{A};{B}", [A, B]),
        (f"{A}|{B}|//x/3.jpg", [A, B, "//x/3.jpg"]),
        (f"//x/1.jpg|//x/2.jpg, {A}", ["//x/1.jpg", "//x/2.jpg", A]),
        ("https://x/|//", ["https://x/|//"]),
        (f"{A},//x/2.jpg", [f"{A},//x/2.jpg"]),
        (f"{A}\n{B}", [A, B]),
        (
            "https://res.example/fetch/w_400,h_300/https://x/1.jpg",
            ["https://res.example/fetch/w_400,h_300/https://x/1.jpg"],
        ),
        ("not a url", ["not a url"]),
        ([A, {"src": B}, None], [A, B]),
        ({"url": A, "alt": "x"}, [A]),
        ({"alt": "x"}, []),
        ("", []),
        (None, []),
        (7, ["7"]),
    ],
)
def test_the_urls_of_a_cell(cell: object, urls: list[str]) -> None:
    assert list(cell_urls(cell)) == urls
