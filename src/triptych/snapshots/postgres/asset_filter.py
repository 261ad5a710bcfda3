"""An `AssetFilter` as a condition in SQL: only what is set, so that a plan fits the filter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from triptych.database.statements import statements
from triptych.snapshots.postgres.asset_classes import with_classes
from triptych.snapshots.snapshot_store import AssetFilter, ColumnFilter, family_of

_PLACE = re.compile(r"(?<!:):(\d)")


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter's condition on an asset `a` and its marks `m`."""

    sql: str
    values: Sequence[object]
    """Of its parameters."""
    of_marks: bool
    """Whether it needs `m`."""

    def within(self, statement: str) -> str:
        """Return a statement with the condition where it says `:matching`."""
        return statement.replace(":matching", self.sql)


def condition(matching: AssetFilter, *, after: int) -> Condition:
    """Return a filter's condition; its parameters follow the first ``after`` of the statement."""
    parts: list[str] = []
    values: list[object] = []
    of_marks = False
    for name, own in _set_conditions(matching):
        first = after + len(values)
        parts.append(_numbered(with_classes(statements()[name]), first))
        values.extend(own)
        of_marks = of_marks or name in OF_MARKS
    return Condition(" and ".join(parts) or "true", values, of_marks)


OF_MARKS = frozenset(
    {
        "asset_tag",
        "asset_cluster",
        "asset_duplicates",
        "asset_duplicated",
        "asset_look",
        "asset_outlier",
    }
)
"""The conditions on marks."""


def _numbered(sql: str, first: int) -> str:
    return _PLACE.sub(lambda found: f"${first + int(found[1])}", sql)


def _set_conditions(matching: AssetFilter) -> Iterator[tuple[str, Sequence[object]]]:
    if matching.media_type is not None:
        family = family_of(matching.media_type)
        yield (
            ("asset_media_family", [family])
            if family is not None
            else ("asset_media_type", [matching.media_type])
        )
    if matching.colour is not None:
        red, green, blue = matching.colour.rgb.to_bytes(3, "big")
        yield "asset_colour", [red, green, blue, matching.colour.within]
    for name in ("text", "colour_name", "shape", "size", "first_seen"):
        if (value := getattr(matching, name)) is not None:
            yield f"asset_{name}", [value]
    for column in matching.columns:
        yield _column(column)
    for name in ("tag", "cluster", "duplicates", "duplicated", "look", "outlier"):
        if (value := getattr(matching, name)) is not None:
            yield f"asset_{name}", [value]


def _column(wanted: ColumnFilter) -> tuple[str, Sequence[object]]:
    if wanted.numbers is not None:
        low, high = wanted.numbers
        return "asset_column_number", [wanted.column, low, high]
    if wanted.day is not None:
        return "asset_column_day", [wanted.column, wanted.day]
    return "asset_column_value", [wanted.column, list(wanted.values)]
