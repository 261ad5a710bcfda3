"""One normal form for each URL, and a key made of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.errors import InvalidUrl
from triptych.gather.phase import new_item
from triptych.gather.source import Row
from triptych.gather.urls import item_key, normalise
from triptych.model import KEY_BYTES, Reason


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://ExAmple.COM:80/a", "http://example.com/a"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com:8443/", "https://example.com:8443/"),
        ("https://example.com/a#part", "https://example.com/a"),
        ("  https://example.com/a  ", "https://example.com/a"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://example.com/a%2fb", "https://example.com/a%2Fb"),
        ("https://example.com/?b=2&a=1", "https://example.com/?b=2&a=1"),
    ],
)
def test_normal_forms(url: str, normal: str) -> None:
    assert normalise(url) == normal
    assert normalise(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        *("", "nike", "/a.jpg", "//example.com/a", "ftp://example.com/a", "javascript:alert(1)"),
        *("data:image/png;base64,AA", "file:///etc/passwd", "http://", "https:///a", "http:a"),
        *("http://example.com:99999/", "http://[::1", "http://exa\x00mple.com/", "http://a b/"),
        "https://example.com/" + "a" * 8192,
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl):
        normalise(url)


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
