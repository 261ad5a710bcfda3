"""JSON as sources write it."""

from __future__ import annotations

import json
from typing import Any

import orjson


def read_json(text: str | bytes | bytearray) -> Any:
    """Parse ``text``, which may be JSON with common mistakes.

    NaN, infinities and lone surrogates are accepted: the item that has them fails later, when its
    metadata is checked, and its line and page do not.

    Raises:
        ValueError: it is not JSON; the message has one line.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Several times slower, so only for what the fast parser refused.
        try:
            return json.loads(text)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def count_values(body: bytes | bytearray) -> int:
    """Return how many values some JSON has, about: commas within its texts are counted, too."""
    return sum(map(body.count, (b",", b"[", b"{")))


def show_json(value: Any, chars: int) -> str:
    """Return the first ``chars`` characters of a value from `read_json` as JSON, for people.

    Always encodable as UTF-8.
    """
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        text = "(nested too deeply)"
    return text.encode("utf-8", "backslashreplace").decode()[:chars]
