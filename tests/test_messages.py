"""Bodies are exactly the three; headers go there and back; what is wrong is named."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.errors import InvalidMessage
from triptych.messages import (
    HEADER_ITEM,
    HEADER_RUN,
    HEADER_TRACE,
    HEADER_VERSION,
    TRACE_FORM,
    AiBody,
    GatherBody,
    Headers,
    UrlBody,
    parse_body,
)
from triptych.model import KEY_BYTES

URL = {"brand": "nike", "url": "https://cdn.com/image.jpg", "metadata": {"a": [1, None]}}


def test_the_three_bodies_are_read_and_written_as_documented() -> None:
    assert parse_body(GatherBody, {"brand": "nike"}).model_dump() == {"brand": "nike"}
    assert parse_body(UrlBody, URL).model_dump() == URL
    assert parse_body(AiBody, {"brand": "nike"}).model_dump() == {"brand": "nike"}


def test_metadata_may_be_left_out() -> None:
    assert parse_body(UrlBody, {"brand": "b", "url": "u"}).metadata == {}


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        (GatherBody, {}, "brand"),
        (GatherBody, {"brand": 7}, "brand"),
        (GatherBody, {"brand": "nike", "run": "x"}, "run"),
        (GatherBody, {"brand": "a/b"}, "brand"),
        (GatherBody, "nike", "body"),
        (GatherBody, None, "body"),
        (GatherBody, [], "body"),
        (UrlBody, {"brand": "nike", "metadata": {}}, "url"),
        (UrlBody, {**URL, "url": ""}, "url"),
        (UrlBody, {**URL, "url": "x" * 8193}, "url"),
        (UrlBody, {**URL, "metadata": []}, "metadata"),
        (AiBody, {"brand": "\x00"}, "brand"),
    ],
)
def test_what_is_wrong_is_named(kind: type[GatherBody], body: object, field: str) -> None:
    with pytest.raises(InvalidMessage) as error:
        parse_body(kind, body)
    assert error.value.field == field
    assert "exactly these fields" in (error.value.remedy or "")


@given(
    st.none() | st.uuids(),
    st.none() | st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES),
    st.none() | st.from_regex(TRACE_FORM, fullmatch=True),
)
def test_headers_go_there_and_back(
    run_id: UUID | None, key: bytes | None, trace: str | None
) -> None:
    headers = Headers(run_id, key, trace)
    assert Headers.decode(headers.encode()) == headers


@given(st.text(max_size=70).filter(lambda text: not TRACE_FORM.fullmatch(text)))
def test_a_malformed_trace_is_as_none(trace: str) -> None:
    """A stranger's slip must not cost his message, nor travel on."""
    assert Headers.decode({HEADER_TRACE: trace}) == Headers()


def test_strangers_headers_are_left_alone() -> None:
    assert Headers.decode({"x-other": "1"}) == Headers()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (HEADER_RUN, "not a uuid"),
        (HEADER_ITEM, "zz"),
        (HEADER_ITEM, "abcd"),
        (HEADER_VERSION, "2"),
    ],
)
def test_a_malformed_header_of_ours_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidMessage) as error:
        Headers.decode({name: value})
    assert error.value.field == name
