"""The only text of the URL of an object or a file, and what none is."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.errors import InvalidUrl
from triptych.gather.object_url import KEY_MAX_BYTES, ObjectUrl, is_object_url, parse_object_url
from triptych.gather.urls import item_key, normalise


@pytest.mark.parametrize(
    ("url", "normal", "key"),
    [
        ("s3://pics/a.jpg", "s3://pics/a.jpg", "a.jpg"),
        ("S3://pics/a b.jpg", "s3://pics/a%20b.jpg", "a b.jpg"),
        ("gs://pics/a%20b.jpg", "gs://pics/a%20b.jpg", "a b.jpg"),
        ("az://pics/100%.jpg", "az://pics/100%25.jpg", "100%.jpg"),
        ("s3://pics/a%2520b.jpg", "s3://pics/a%2520b.jpg", "a%20b.jpg"),
        ("s3://pics/what?#1.jpg", "s3://pics/what%3F%231.jpg", "what?#1.jpg"),
        ("s3://pics/a%2fb.jpg", "s3://pics/a/b.jpg", "a/b.jpg"),
        ("s3://pics/ü.jpg", "s3://pics/%C3%BC.jpg", "ü.jpg"),
        ("s3://pics/~a_b-c.d", "s3://pics/~a_b-c.d", "~a_b-c.d"),
        ("file:///srv/a b.jpg", "file:///srv/a%20b.jpg", "/srv/a b.jpg"),
        ("FILE://localhost/srv//a.jpg", "file:///srv/a.jpg", "/srv/a.jpg"),
        ("file:///srv/%FF%0A.jpg", "file:///srv/%FF%0A.jpg", "/srv/\udcff\n.jpg"),
    ],
)
def test_what_is_kept_is_one_text(url: str, normal: str, key: str) -> None:
    assert normalise(url) == normal
    assert normalise(normal) == normal
    assert parse_object_url(url).key == key
    assert item_key(normalise(url)) == item_key(normal)


@pytest.mark.parametrize(
    "url",
    [
        *("s3://", "s3://pics", "s3://pics/", "s3:///a.jpg", "s3://a b/c.jpg", "s3://pics/a/"),
        *("s3://pics//a.jpg", "s3://pics/a//b.jpg", "s3://pics/../a.jpg", "s3://pics/%2e%2e/a.jpg"),
        *("s3://pics/a%00b", "s3://pics/a%0Ab.jpg", "s3://pics/%FF.jpg", "s3://k:s@pics/a.jpg"),
        *("s3://pics:9000/a.jpg", "s3://pics%2F..%2Fother/a.jpg", "az://pics/" + "a" * 1025),
        *("file://", "file:///", "file:///srv/", "file://host/srv/a.jpg", "file:///srv/../etc"),
        *("file:///srv/%2e%2e/etc", "file:///srv/%00", "file://../etc/passwd", "file:/etc/passwd"),
        *("s3a://pics/a.jpg", "s3:pics/a.jpg", "ftp://pics/a.jpg"),
    ],
)
def test_what_leads_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl):
        normalise(url)
    with pytest.raises(ValueError, match=r"\w"):
        parse_object_url(url)


KEYS = st.lists(
    st.text(
        st.characters(min_codepoint=0x20, exclude_characters="/\x7f", codec="utf-8"), min_size=1
    ),
    min_size=1,
    max_size=4,
).filter(lambda parts: not {".", ".."} & set(parts))


@given(st.sampled_from(["s3", "gs", "az"]), KEYS)
def test_every_key_is_read_back_from_its_url(scheme: str, parts: list[str]) -> None:
    url = ObjectUrl(scheme, "pics", "/".join(parts))
    if len(url.key.encode()) > KEY_MAX_BYTES:
        return
    assert is_object_url(str(url))
    assert parse_object_url(str(url)) == url
    assert normalise(str(url)) == str(url)


@given(st.binary(min_size=1, max_size=100).filter(lambda name: not {0, 0x2F} & set(name)))
def test_every_file_name_is_read_back_from_its_url(name: bytes) -> None:
    if name in {b".", b".."}:
        return
    url = ObjectUrl("file", "", f"/srv/{os.fsdecode(name)}")
    assert parse_object_url(str(url)) == url
    assert normalise(str(url)) == str(url)
