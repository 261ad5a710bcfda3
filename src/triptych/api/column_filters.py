"""The query parameter `metadata`: a JSON object that says which values columns must have."""

from __future__ import annotations

import math
import re
from typing import Any

import orjson

from triptych.snapshots.asset_classes import VALUE_MAX_CHARS, metadata_values
from triptych.snapshots.snapshot_store import ColumnFilter

METADATA_MAX_CHARS = 1_000
"""Percent-encoded at most 12 kB, of the 32 that a request's head may have."""
COLUMNS_MAX = 20
VALUES_MAX = 100
COLUMN_MAX_CHARS = 100

_DAY = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")


def metadata_text(text: str) -> str:
    """Return the parameter, if it is one.

    Raises:
        ValueError: names the column and what is wrong with it.
    """
    column_filters(text)
    return text


def column_filters(text: str) -> tuple[ColumnFilter, ...]:
    """Return the conditions that the parameter says, one a column.

    Raises:
        ValueError: names the column and what is wrong with it.
    """
    try:
        asked = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"must be JSON: {error}") from error
    if not isinstance(asked, dict) or not 0 < len(asked) <= COLUMNS_MAX:
        raise ValueError(f"must be a JSON object of 1 to {COLUMNS_MAX} columns")
    return tuple(_column(name, wanted) for name, wanted in asked.items())


def _column(name: str, wanted: Any) -> ColumnFilter:
    if not name or len(name) > COLUMN_MAX_CHARS or "\0" in name:
        raise ValueError(f"a column's name must have 1 to {COLUMN_MAX_CHARS} characters")
    if isinstance(wanted, dict):
        return _range(name, wanted)
    given = wanted if isinstance(wanted, list) else [wanted]
    values = tuple(value for each in given for value in metadata_values(each))
    if not 0 < len(values) <= VALUES_MAX or len(values) != len(given) or "\0" in "".join(values):
        raise ValueError(
            f"column {name!r}: must be a text, a number, true or false, of at most "
            f"{VALUE_MAX_CHARS} characters, or a list of at most {VALUES_MAX} of them"
        )
    return ColumnFilter(name, values=values)


def _range(name: str, wanted: dict[str, Any]) -> ColumnFilter:
    if wanted.keys() == {"day"}:
        day = wanted["day"]
        if not isinstance(day, str) or not _DAY.fullmatch(day):
            raise ValueError(f"column {name!r}: day must be YYYY, YYYY-MM or YYYY-MM-DD")
        return ColumnFilter(name, day=day)
    if not wanted or not wanted.keys() <= {"from", "below"}:
        raise ValueError(f"column {name!r}: an object must have from, below or both, or day")
    low, below = wanted.get("from", -math.inf), wanted.get("below", math.inf)
    for number in (low, below):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"column {name!r}: from and below must be numbers")
    return ColumnFilter(name, numbers=(float(low), float(below)))
