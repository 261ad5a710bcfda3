"""JSON as sources write it."""

from __future__ import annotations

import json
from typing import Any

import orjson


def read_json(text: bytes | bytearray) -> Any:
    """Return the value that ``text`` holds, also what careless writers call JSON.

    NaN, infinities and lone surrogates are let through: the item that has them fails by itself
    further on, where metadata is checked, and takes neither its line nor its page along.

    Raises:
        ValueError: it is no JSON; with a message of one line.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Several times slower, hence only for what has failed.
        try:
            return json.loads(text)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def show_json(value: Any, chars: int) -> str:
    """Return the first ``chars`` characters of a value from `read_json` as JSON, for people.

    Always encodable as UTF-8.
    """
    text = json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()[:chars]
