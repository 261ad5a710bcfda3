"""The classes of assets in SQL, for statements about an asset `a`."""

from __future__ import annotations

from triptych.database.statements import statements

COLUMN_ENTRY = "a.metadata -> :1::text"
"""A metadata column; its name is the first value of the condition."""


def with_classes(sql: str) -> str:
    """Return SQL with the classes where it says `:colour_names` or `:metadata_values`."""
    values = statements()["metadata_values"].replace(":entry", COLUMN_ENTRY)
    return sql.replace(":colour_names", statements()["colour_names"]).replace(
        ":metadata_values", values
    )
