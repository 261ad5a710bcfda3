"""Messages that are none of the three documented ones: each becomes a dead letter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum

MEGABYTE = 1_000_000
DEPTH = 5_000
"""Deeper than JSON parsers follow; Postgres stores it."""


class Poison(StrEnum):
    """What is wrong with a message."""

    NULL = "null"
    SQL_NULL = "sql_null"
    NUMBER_BEYOND_DOUBLE = "number_beyond_double"
    NESTED = "nested"
    LONE_SURROGATE = "lone_surrogate"
    NUL = "nul"
    MEGABYTE = "megabyte"
    HEADER_NUMBER = "header_number"
    HEADER_NESTED = "header_nested"
    HEADER_RUN = "header_run"
    HEADER_LIST = "header_list"
    HEADER_BINARY = "header_binary"
    ARRAY = "array"
    TEXT = "text"
    NOT_JSON = "not_json"
    EMPTY_OBJECT = "empty_object"

    def fits(self, *, aws: bool) -> bool:
        """Return whether a queue of that shape can hold it."""
        return self not in (ONLY_IN_PGMQ if aws else ONLY_IN_SQS)


ONLY_IN_PGMQ = {Poison.SQL_NULL, Poison.HEADER_NUMBER, Poison.HEADER_NESTED, Poison.HEADER_LIST}
"""Attributes of SQS are flat, and its bodies are texts."""
ONLY_IN_SQS = {Poison.LONE_SURROGATE, Poison.NUL, Poison.HEADER_BINARY, Poison.NOT_JSON}
"""jsonb takes none of these."""

NESTED = "[" * DEPTH + "]" * DEPTH
INNOCENT = '"brand": "poisoned", "url": "http://127.0.0.1:9/1"'
WRONG_FIELD = '{"brand": "poisoned", "poison": true}'
"""Under a header that is wrong: so the message is a dead letter however headers are read."""


def body(poison: Poison) -> str | None:
    """Return the body as text, JSON unless it is to be none; None for SQL's NULL."""
    return {
        Poison.NULL: "null",
        Poison.SQL_NULL: None,
        Poison.NUMBER_BEYOND_DOUBLE: f'{{{INNOCENT}, "metadata": {{"price": 1e400}}}}',
        Poison.NESTED: f'{{{INNOCENT}, "metadata": {{"deep": {NESTED}}}}}',
        Poison.LONE_SURROGATE: f'{{{INNOCENT}, "metadata": {{"title": "\\ud800"}}}}',
        Poison.NUL: '{"brand": "poi\\u0000soned"}',
        Poison.MEGABYTE: json.dumps({"brand": "poisoned", "url": "http://h/" + "a" * MEGABYTE}),
        Poison.ARRAY: f"[{{{INNOCENT}}}]",
        Poison.TEXT: '"poisoned"',
        Poison.NOT_JSON: '{"brand": "poisoned"',
        Poison.EMPTY_OBJECT: "{}",
    }.get(poison, WRONG_FIELD)


def headers(poison: Poison) -> str | None:
    """Return the headers as JSON text, as pgmq holds them; None for none."""
    return {
        Poison.HEADER_NUMBER: '{"triptych-version": "1", "weight": 1e400}',
        Poison.HEADER_NESTED: f'{{"triptych-version": "1", "deep": {NESTED}}}',
        Poison.HEADER_RUN: '{"triptych-version": "1", "triptych-run": "no UUID"}',
        Poison.HEADER_LIST: '["triptych-version", 1]',
    }.get(poison)


def attributes(poison: Poison) -> Mapping[str, Mapping[str, object]]:
    """Return the attributes that SQS holds in place of headers."""
    if poison is Poison.HEADER_RUN:
        return {"triptych-run": {"DataType": "String", "StringValue": "no UUID"}}
    if poison is Poison.HEADER_BINARY:
        return {"triptych-run": {"DataType": "Binary", "BinaryValue": b"\xff\x00\xfe"}}
    return {}
