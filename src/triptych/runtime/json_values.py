"""Reading JSON that others wrote: what cannot be read is kept as text and never raises."""

from __future__ import annotations

from typing import Any

import orjson

DEPTH_MAX = 128
"""Levels of arrays and objects that are accepted. Encoders stop at 254, and values travel inside
other values: a message, a record, a page."""


class UnreadableJson(str):
    """The text of a JSON value that cannot be read, and why."""

    __slots__ = ("problem",)
    problem: str

    def __new__(cls, text: str, problem: str) -> UnreadableJson:
        """Keep ``text``; characters that no encoding has are replaced by ``?``."""
        kept = super().__new__(cls, text.encode("utf-8", "replace").decode())
        kept.problem = problem
        return kept


def read_json(text: str | bytes | memoryview) -> Any:
    """Parse JSON; return an `UnreadableJson` for what is none, or what could not be written again.

    That is a number beyond a double, nesting deeper than `DEPTH_MAX`, a lone surrogate, and any
    other text that RFC 8259 does not allow. Postgres accepts some of these as jsonb.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return UnreadableJson(_as_text(text), f"{error.msg} at character {error.pos + 1}")
    # Each level takes two characters.
    if len(text) > 2 * DEPTH_MAX and is_too_deep(value):
        return UnreadableJson(_as_text(text), f"nested deeper than {DEPTH_MAX} levels")
    return value


def is_too_deep(value: object, limit: int = DEPTH_MAX) -> bool:
    """Return whether arrays and objects are nested in more than ``limit`` levels."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _as_text(text: str | bytes | memoryview) -> str:
    return text if isinstance(text, str) else bytes(text).decode("utf-8", "replace")
