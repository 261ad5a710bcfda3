"""The text of a URL that is sent, and the key made of its normal form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.errors import InvalidUrl
from triptych.gather.phase import new_item
from triptych.gather.source import Row
from triptych.gather.urls import (
    item_key,
    key_of_value,
    normalise,
    same_resource,
    without_parameters,
)
from triptych.model import KEY_BYTES, Reason


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://ExAmple.COM:80/a", "http://example.com/a"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("https://example.com/a#part", "https://example.com/a"),
        ("  https://example.com/a  ", "https://example.com/a"),
        ("https://example.com/a\xa0", "https://example.com/a"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://example.com/a%2fb/%7Ec", "https://example.com/a%2fb/%7Ec"),
        ("https://example.com/?b=2&a=1", "https://example.com/?b=2&a=1"),
        # Signed texts (aio-libs/aiohttp#7222, #5512): nothing in the query is decoded or encoded.
        ("https://e.example/a.jpg?t=Sale%2C+now&s=1", "https://e.example/a.jpg?t=Sale%2C+now&s=1"),
        ("https://e.example/a?c=K%2F20%2fs3&d=a/b,c", "https://e.example/a?c=K%2F20%2fs3&d=a/b,c"),
        ("https://e.example/c_fill,w_4/%2C%3D@!.jpg", "https://e.example/c_fill,w_4/%2C%3D@!.jpg"),
        ("https://e.example/100%.jpg?q=%zz%", "https://e.example/100%.jpg?q=%zz%"),
        ("https://e.example/sp ace.jpg?a b", "https://e.example/sp%20ace.jpg?a%20b"),
        ("https://e.example/a\u200b.jpg", "https://e.example/a%E2%80%8B.jpg"),
        ("https://e.example/?", "https://e.example/?"),
        ("https://e.example//a//b", "https://e.example//a//b"),
        ("http:a", "http://a/"),
        ("https:///a", "https://a/"),
        ("https://e.example/a\r\n  b", "https://e.example/a%20%20b"),
        ("//cdn.example/a.jpg?v=1", "https://cdn.example/a.jpg?v=1"),
        ("http://user:pass@e.example/", "http://user:pass@e.example/"),
    ],
)
def test_what_is_sent(url: str, normal: str) -> None:
    assert normalise(url) == normal
    assert normalise(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        *("", "nike", "/a.jpg", "//", "///a.jpg", "//\\a", "\\\\server\\share\\a.jpg"),
        *("ftp://example.com/a", "javascript:alert(1)", "127.0.0.1:80/a", "www.shop.example/a"),
        *("data:image/png;base64,AA", "file:etc/passwd", "http://", "C:\\a.jpg", "s3:b/a"),
        *("http://example.com:99999/", "http://[::1", "http://exa\x00mple.com/", "http://a b/"),
        "https://example.com/" + "a" * 8192,
        "https://example.com/" + "ä" * 2000,
        "https://example.com/a\nhttps://example.com/b",
        "//example.com/a\t//example.com/b",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl):
        normalise(url)


@pytest.mark.parametrize(
    ("url", "other", "same"),
    [
        ("https://e.example/a%2fb", "https://e.example/a%2Fb", True),
        ("https://e.example/%7Ea%2Ejpg", "https://e.example/~a.jpg", True),
        ("https://E.example:443/a#x", "https://e.example/a", True),
        ("https://e.example/a%2Cb", "https://e.example/a,b", False),
        ("https://e.example/?a%26b", "https://e.example/?a&b", False),
        ("https://e.example/?a=1&b=2", "https://e.example/?b=2&a=1", False),
        ("https://e.example/%252f", "https://e.example/%2f", False),
    ],
)
def test_the_normal_form_is_the_identity_only(url: str, other: str, same: bool) -> None:
    assert (item_key(normalise(url)) == item_key(normalise(other))) is same


@given(st.text() | st.text().map("http://example.com/".__add__))
def test_g3_no_row_of_a_source_ever_raises(text: str) -> None:
    item = new_item(Row(text, {}))
    assert len(item.key) == KEY_BYTES
    if item.refused is None:
        assert normalise(item.url) == item.url
        assert item.key == item_key(item.url)


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": "\x00"},
        {"a": {"b": ["\x00"]}},
        {"a": "x" * 300_000},
        {"a": 2**70},
        {"a": object()},
        {"a": "\ud800"},
    ],
)
def test_g9_metadata_that_no_store_holds_is_refused(metadata: dict[str, object]) -> None:
    item = new_item(Row("https://example.com/", metadata))
    assert (item.refused, dict(item.metadata)) == (Reason.INVALID_METADATA, {})
    assert item.detail


@pytest.mark.parametrize(
    ("url", "ignored", "expected"),
    [
        (
            "https://x/a.jpg?Expires=1&w=2&Signature=z",
            {"Expires", "Signature"},
            "https://x/a.jpg?w=2",
        ),
        ("https://x/a.jpg?Expires=1", {"Expires"}, "https://x/a.jpg"),
        ("https://x/a.jpg", {"Expires"}, "https://x/a.jpg"),
        ("https://x/a.jpg?w=%2C&Exp%69res=1", {"Expires"}, "https://x/a.jpg?w=%2C"),
        ("https://x/a.jpg?expires=1", {"Expires"}, "https://x/a.jpg?expires=1"),
        ("https://x/a.jpg?a+b=1&c", {"a b"}, "https://x/a.jpg?c"),
    ],
)
def test_parameters_are_left_out_of_the_identity(
    url: str, ignored: set[str], expected: str
) -> None:
    assert without_parameters(url, ignored) == expected


def test_a_value_is_not_the_url_of_the_same_text() -> None:
    assert key_of_value("https://x/a.jpg") != item_key("https://x/a.jpg")


def test_signed_urls_of_one_file_are_one_resource() -> None:
    assert same_resource("https://x/a.jpg?s=1", "https://x/a.jpg?s=2")
    assert not same_resource("https://x/a.jpg?s=1", "https://x/b.jpg?s=1")
