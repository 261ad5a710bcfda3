"""JSON from others: read, or kept as text; what is read can be written again."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.runtime.json_values import DEPTH_MAX, UnreadableJson, is_too_deep, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@given(VALUES)
def test_json_is_read_as_it_was_written(value: object) -> None:
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError:  # A lone surrogate.
        return
    assert read_json(text) == value


@given(st.text() | st.binary())
def test_any_text_is_read_or_kept_and_can_be_written_again(text: str | bytes) -> None:
    value = read_json(text)
    assert orjson.dumps({"body": [value]})
    if isinstance(value, UnreadableJson):
        assert value.problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"price": 1e400}', "infinity"),
        ("[" * 5_000 + "]" * 5_000, "depth"),
        ("[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1), "nested deeper"),
        ('{"a": ' * (DEPTH_MAX + 1) + "1" + "}" * (DEPTH_MAX + 1), "nested deeper"),
        ('"\\ud800"', "surrogate"),
        ("NaN", "unexpected"),
        ("", "empty"),
    ],
)
def test_what_cannot_be_read_is_the_whole_text_and_says_why(text: str, problem: str) -> None:
    value = read_json(text)
    assert isinstance(value, UnreadableJson)
    assert value == text
    assert problem in value.problem


def test_the_deepest_accepted_value_can_be_written_inside_others() -> None:
    deepest = nested(DEPTH_MAX)
    assert not is_too_deep(deepest)
    assert is_too_deep(nested(DEPTH_MAX + 1))
    text = orjson.dumps({"items": [{"metadata": deepest}]})
    assert orjson.loads(text)["items"][0]["metadata"] == deepest
