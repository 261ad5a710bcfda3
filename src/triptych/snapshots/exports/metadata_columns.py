"""Assets' metadata as columns of a table, and back again.

The columns are for people and for programs that know tables. All of the metadata are also in the
row's JSON, in the column ``metadata``: a column has no lists, objects or null, a table of texts no
numbers, and a spreadsheet must see no formulas. So an exported table that is read again has the
same metadata, and a cell that was edited meanwhile counts.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa

from triptych.model import Metadata

COLUMNS_MAX = 200
"""Names that get a column: those of the most assets. Excel takes 16,384 columns, people fewer."""
NAMES_MAX = 10_000
"""Different names that are counted."""
NAME_MAX_CHARS = 100
PREFIX = "metadata."
"""Before the name of a column that could be taken for another one."""
WHOLE = "metadata"
"""The column with the JSON."""
FURTHER = "also"
"""The column with the metadata of further rows of the URL: a JSON array, or nothing."""
NO_METADATA = frozenset(
    {
        *("embedding", "text", "people", "faults", "copyright", "creator", "credit", "licence"),
        *("source_type", "has_place", "has_content_credentials"),
    }
)
"""Columns that not every export has, and that are no metadata."""

_TAKEN_FOR_OTHERS = re.compile(
    rf"^[=+\-@]|url|image|gallery|^\W*brand\W*$|^{re.escape(PREFIX)}", re.IGNORECASE
)
"""Names in which a list of URLs would look for URLs or a brand, and what a spreadsheet might take
for a formula."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters by which a spreadsheet takes a text for a formula:
https://owasp.org/www-community/attacks/CSV_Injection."""
_INT64 = range(-(2**63), 2**63)
_TYPES: Mapping[frozenset[type], pa.DataType] = {
    frozenset({str}): pa.string(),
    frozenset({bool}): pa.bool_(),
    frozenset({int}): pa.int64(),
    frozenset({float}): pa.float64(),
}
"""Of columns whose values have one type. A column of several has texts."""


@dataclass(frozen=True)
class MetadataColumns:
    """The columns of a table for the metadata of its assets."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Name of a column by name in the metadata, in order."""
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Of a column's values, by its name."""
    notes: Sequence[str] = ()
    """What has no column, in sentences."""

    def cells(self, metadata: Metadata) -> dict[str, Any]:
        """Return the values of the columns of an asset, as far as they fit, as they are."""
        found = {column: metadata.get(name) for name, column in self.columns.items()}
        return {column: value for column, value in found.items() if _kind(value) is not None}

    def typed_cells(self, metadata: Metadata) -> dict[str, Any]:
        """Return them with each value of a column of texts as text."""
        return {
            column: _json(value)
            if pa.types.is_string(self.types[column]) and not isinstance(value, str)
            else value
            for column, value in self.cells(metadata).items()
        }


class MetadataSurvey:
    """Counts the names in the metadata of a snapshot, and the types of their values."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._kinds: dict[str, set[type]] = defaultdict(set)
        self._uncounted = False

    def add(self, metadata: Metadata) -> None:
        """Count one asset's."""
        for name, value in metadata.items():
            if name not in self._counts and len(self._counts) >= NAMES_MAX:
                self._uncounted = True
                continue
            self._counts[name] += 1
            if (kind := _kind(value)) is not None:
                self._kinds[name].add(kind)

    def columns(self, own: Sequence[str]) -> MetadataColumns:
        """Return the columns, by name; ``own`` are the names of the table's other columns."""
        candidates = sorted(self._kinds, key=lambda name: (-self._counts[name], name))
        taken = {name.casefold() for name in own}
        chosen: dict[str, str] = {}
        for name in candidates:
            column = _column(name, taken)
            if column is not None and len(chosen) < COLUMNS_MAX:
                # Some readers of tables do not tell names apart by case.
                taken.add(column.casefold())
                chosen[name] = column
        ordered = {name: chosen[name] for name in sorted(chosen)}
        types = {
            column: _TYPES.get(frozenset(self._kinds[name]), pa.string())
            for name, column in ordered.items()
        }
        return MetadataColumns(ordered, types, self._notes(chosen))

    def _notes(self, chosen: Mapping[str, str]) -> Sequence[str]:
        left = len(self._counts) - len(chosen)
        if not left:
            return ()
        number = f"More than {left:,}" if self._uncounted else f"{left:,}"
        note = (
            f"{number} of the metadata's {len(self._counts):,} names have no column of their own: "
            f"they are only in the JSON of the column {WHOLE}."
        )
        return (note,)


def restored(values: Metadata, own: frozenset[str]) -> Metadata | None:
    """Return the metadata of a row of an exported table; None if its column has no such JSON.

    Args:
        values: the row's cells by column, without its URL.
        own: the columns of every export but the URL.

    A cell that was changed or emptied since the export counts, not what the JSON has for it.
    """
    found = _read_json(values[WHOLE])
    if not isinstance(found, dict):
        return None
    for column, cell in values.items():
        if column in own or column in NO_METADATA:
            continue
        name = column.removeprefix(PREFIX)
        known = found.get(name)
        if cell is None or cell == "":
            if _kind(known) is not None and known != "":
                del found[name]
        elif known is None or not (cell == known or _shows(cell, known)):
            found[name] = cell
    return found


def _shows(cell: Any, value: Any) -> bool:
    """Return whether a cell has the text of a value, as it was written or as Excel writes it."""
    if isinstance(value, bool):
        return str(cell).casefold() == _json(value)
    return str(cell) in {shown_text(value), _json(value)}


def shown_text(value: Any) -> str:
    """Return a value as the text of a cell: in one line, and no formula."""
    if not isinstance(value, str):
        return _json(value)
    text = " ".join(value.split()) if value != value.strip() or not value.isprintable() else value
    return f"'{text}" if value.startswith(_FORMULA) or text.startswith(_FORMULA) else text


def read_further(value: Any) -> Sequence[Metadata] | None:
    """Return what the column `FURTHER` of a row has; None if it is no array of objects."""
    if value is None or value == "":
        return ()
    found = _read_json(value)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        return None
    return found


def json_text(value: Any) -> str:
    """Return a value as JSON in one line that is the same after `shown_text`."""
    text = _json(value)
    # As text of a cell, rare spaces and invisible characters would become plain spaces.
    return text if text.isprintable() else json.dumps(value, separators=(",", ":"))


def _read_json(value: Any) -> Any:
    """Return what a cell with JSON stands for, or an object or array itself; None for any other."""
    if isinstance(value, dict | list):
        return value
    try:
        return orjson.loads(value)
    except (TypeError, ValueError):
        return None


def _kind(value: Any) -> type | None:
    """Return the type of a value that a column can hold; else None."""
    if isinstance(value, int) and not isinstance(value, bool) and value not in _INT64:
        return None
    return type(value) if isinstance(value, str | bool | int | float) else None


def _column(name: str, taken: set[str]) -> str | None:
    """Return a name's column; None if it cannot be the name of one."""
    if not 0 < len(name) <= NAME_MAX_CHARS or name != name.strip() or not name.isprintable():
        return None
    plain = _TAKEN_FOR_OTHERS.search(name) is None and name.casefold() not in taken
    column = name if plain else f"{PREFIX}{name}"
    return None if column.casefold() in taken else column


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
