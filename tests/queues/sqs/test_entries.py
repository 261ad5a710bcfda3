"""What SQS takes: sizes, characters, names and groups of the entries that are sent."""

from __future__ import annotations

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.messages import (
    HEADER_ORIGIN_ID,
    HEADER_REASON,
    HEADER_RUN,
    URL_QUEUE,
    Delivery,
    Message,
)
from triptych.queues.sqs.entries import (
    ATTRIBUTES_MAX,
    BATCH_BYTES,
    BATCH_ENTRIES,
    MESSAGE_BYTES,
    batches,
    decode,
    encode,
    encode_body,
    encode_headers,
    entry_bytes,
    fitting,
    group_id,
)

ALLOWED = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
"""SendMessage, AWS' API reference."""
SCALARS = st.characters(exclude_categories=["Cs"])
TEXT = st.text(SCALARS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXT, JSON))
def test_g9_any_body_arrives_as_it_was_in_characters_that_sqs_takes(
    body: dict[str, object],
) -> None:
    text = encode_body(body)
    assert ALLOWED.fullmatch(text)
    assert json.loads(text) == body == received(text).body


@given(st.text(SCALARS, min_size=1))
def test_g9_text_that_was_no_json_is_sent_as_text(body: str) -> None:
    assert ALLOWED.fullmatch(encode_body(body))


@pytest.mark.parametrize(
    "hostile",
    ["[" * 200_000, "[" * 300 + "]" * 300, '"\\ud800"', "NaN", "1e400", "{", "", "\udc80"],
    ids=["unclosed", "deep", "surrogate", "nan", "huge number", "cut", "empty", "no utf-8"],
)
def test_g9_a_body_that_cannot_be_read_is_text_with_its_problem(hostile: str) -> None:
    found = received(hostile)
    assert found.body == hostile.encode("utf-8", "replace").decode()
    assert found.problem is not None
    if hostile.isascii() and hostile:
        assert encode_body(found.body) == hostile


def received(text: str) -> Delivery:
    return decode(
        URL_QUEUE,
        {
            "MessageId": "1",
            "ReceiptHandle": "r",
            "Body": text,
            "Attributes": {"ApproximateReceiveCount": "1"},
        },
    )


@given(st.dictionaries(TEXT, TEXT, max_size=20))
def test_g9_headers_are_at_most_ten_attributes_with_ours_among_them(
    strangers: dict[str, str],
) -> None:
    ours = {HEADER_REASON: "url: \x00", HEADER_ORIGIN_ID: "1", HEADER_RUN: "r"}
    attributes = encode_headers({**strangers, **ours})
    assert ours.keys() <= attributes.keys()
    assert len(attributes) <= ATTRIBUTES_MAX
    for name, value in attributes.items():
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,256}", name)
        assert value["StringValue"]
        assert ALLOWED.fullmatch(value["StringValue"])


@given(st.lists(st.integers(1, BATCH_BYTES), max_size=60))
def test_batches_keep_within_count_and_size_and_lose_nothing(sizes: list[int]) -> None:
    entries = [{"MessageBody": "x" * size, "n": number} for number, size in enumerate(sizes)]
    made = list(batches(entries))
    assert [entry for batch in made for entry in batch] == entries
    for batch in made:
        assert 1 <= len(batch) <= BATCH_ENTRIES
        assert sum(map(entry_bytes, batch)) <= BATCH_BYTES
    for first, second in itertools.pairwise(made):
        full = len(first) == BATCH_ENTRIES
        assert full or sum(map(entry_bytes, first)) + entry_bytes(second[0]) > BATCH_BYTES


@pytest.mark.parametrize("letter", ["a", "é", "\x00", "\U0001f600"])
@pytest.mark.parametrize("more", [-2000, -100, 0, 1, 2000])
def test_g4_a_dead_letter_is_never_too_large(more: int, letter: str) -> None:
    reason = "é" * 400
    body = letter * ((MESSAGE_BYTES + more) // len(letter.encode()))
    headers = {HEADER_REASON: reason, HEADER_ORIGIN_ID: "1"}
    message = Message(body, headers, "nike")  # type: ignore[arg-type]  # A stranger's text.
    entry = encode(fitting(message), 0)
    size = entry_bytes(encode(message, 0))
    assert entry_bytes(entry) <= MESSAGE_BYTES
    assert entry_bytes(entry) > min(size, MESSAGE_BYTES) - 4, "no more is cut than must be"
    assert encode_body(body).startswith(entry["MessageBody"])


@given(TEXT.filter(bool), TEXT.filter(bool))
def test_g10_every_brand_is_a_group_of_its_own_that_sqs_takes(one: str, other: str) -> None:
    assert (group_id(one) == group_id(other)) == (one == other)
    assert re.fullmatch(r"[!-~]{1,128}", group_id(one))


def test_a_delay_is_within_what_sqs_takes() -> None:
    delays = [encode(Message({}), delay_s).get("DelaySeconds") for delay_s in (0, 0.2, 3600)]
    assert delays == [None, 1, 900]
