"""What an export says of an asset, and in which types: its own fields, its marks and its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from triptych.features.picture_quality import faults_of
from triptych.media.file_facts import FileFacts
from triptych.model import MARKS, Asset, Metadata
from triptych.snapshots.asset_shown import phash_text
from triptych.snapshots.exports.metadata_columns import (
    FURTHER,
    NO_METADATA,
    WHOLE,
    MetadataColumns,
    json_text,
    read_further,
    restored,
)

MARK_TYPES: Mapping[type, pa.DataType] = {
    str: pa.string(),
    float: pa.float32(),
    list: pa.list_(pa.string()),
}
TYPES: Mapping[str, pa.DataType] = {
    "size_bytes": pa.int64(),
    "width": pa.int32(),
    "height": pa.int32(),
    "colours": pa.list_(pa.string()),
}
"""Of the columns that hold no text."""
WRITTEN: Mapping[str, Callable[[Any], Any]] = {
    "key": bytes.hex,
    "sha256": bytes.hex,
    "phash": lambda phash: None if phash is None else phash_text(phash),
    "colours": lambda colours: [f"#{colour.rgb:06x}" for colour in colours],
    FURTHER: lambda also: json_text(also) if also else None,
    WHOLE: json_text,
}
"""How the fields that no column can hold as they are become values of one."""
OF_THE_EXPORT = ("run_id", "brand")
"""Fields that all rows of an export share: they are no columns."""
FIELDS = tuple(name for name in Asset.__struct_fields__ if name not in OF_THE_EXPORT)
MARKED = FIELDS.index("model")
"""Before this column stand the marks."""
TEXT_COLUMN = "text"
"""The text in the picture, a line of it in each line."""
PEOPLE_COLUMN = "people"
"""`none`, `one` or `group`, by the faces in the picture."""
FILE_COLUMNS: Mapping[str, pa.DataType] = {
    "faults": pa.list_(pa.string()),
    "copyright": pa.string(),
    "creator": pa.string(),
    "credit": pa.string(),
    "licence": pa.string(),
    "source_type": pa.string(),
    "has_place": pa.bool_(),
    "has_content_credentials": pa.bool_(),
}
"""What the file shows: its faults, and what it says of its origin; empty where it was not read."""
OWN = frozenset({*FIELDS, *MARKS, TEXT_COLUMN, PEOPLE_COLUMN, *FILE_COLUMNS})
"""The columns of every table, whatever the metadata."""
OWN_IMPORTED = OWN - NO_METADATA - {"url"}
"""Those by which a row of an exported table is known; its URL is read apart."""
NO_COLUMNS = MetadataColumns()


@dataclass(frozen=True, slots=True)
class Exported:
    """An asset with its marks."""

    asset: Asset
    marks: Mapping[str, Any]
    metadata_columns: MetadataColumns = NO_COLUMNS
    """The same for all assets of an export; none unless the format asks for them."""
    text: str | None = None
    """The text in the picture; None if it was not, or cannot be, read."""
    people: str | None = None
    """How many people it shows; None if it was not, or cannot be, looked at."""
    facts: FileFacts | None = None
    """What its file shows; None if it was not, or cannot be, read."""


def schema(dimension: int | None, metadata: MetadataColumns = NO_COLUMNS) -> pa.Schema:
    """Return the columns of a table; the embedding's length is fixed, for readers that map it."""
    vector = pa.list_(pa.float32(), dimension) if dimension else pa.list_(pa.float32())
    types = {**TYPES, "embedding": vector}
    fields = [(name, types.get(name, pa.string())) for name in FIELDS]
    marks = [(name, MARK_TYPES[kind]) for name, kind in MARKS.items()]
    marks += [(TEXT_COLUMN, pa.string()), (PEOPLE_COLUMN, pa.string()), *FILE_COLUMNS.items()]
    return pa.schema([*fields[:MARKED], *marks, *fields[MARKED:], *metadata.types.items()])


def described(exported: Exported) -> dict[str, Any]:
    """Return an asset's columns but for the embedding, as JSON has them.

    All of its metadata are in the column ``metadata``.
    """
    row = {
        name: WRITTEN[name](value) if name in WRITTEN else value
        for name, value in ((name, getattr(exported.asset, name)) for name in FIELDS[:MARKED])
    }
    marks = {name: exported.marks.get(name) for name in MARKS}
    features = {TEXT_COLUMN: exported.text, PEOPLE_COLUMN: exported.people, **_of_file(exported)}
    return {**row, **marks, **features, "model": exported.asset.model}


def _of_file(exported: Exported) -> dict[str, Any]:
    """Return the `FILE_COLUMNS` of an asset."""
    facts, asset = exported.facts, exported.asset
    if facts is None:
        return dict.fromkeys(FILE_COLUMNS)
    faults = faults_of(facts, asset.width or 0, asset.height or 0)
    of_origin = (name for name in FILE_COLUMNS if name != "faults")
    return {"faults": faults, **{name: getattr(facts.origin, name) for name in of_origin}}


def table(rows: Sequence[Exported], columns: pa.Schema) -> pa.Table:
    """Return assets as a table of these columns.

    An embedding of another length is left out: it is of another model.
    """
    wanted = columns.field("embedding").type
    length = wanted.list_size if pa.types.is_fixed_size_list(wanted) else None
    records = []
    for row in rows:
        vector = row.asset.embedding
        fits = vector is not None and length in (None, len(vector))
        cells = row.metadata_columns.typed_cells(row.asset.metadata)
        records.append({**described(row), **cells, "embedding": vector if fits else None})
    return pa.Table.from_pylist(records, schema=columns)


def imported_rows(values: Metadata) -> Sequence[Metadata] | None:
    """Return the metadata of the rows that an exported row stands for; None if it is not one.

    The first are the asset's own. The others are those of further rows with its URL, in their
    order: as rows of a list again, they become the asset's ``also`` again.

    Args:
        values: a list's row, its cells by column, without its URL.
    """
    if not values.keys() >= OWN_IMPORTED:
        return None
    own, further = restored(values, OWN_IMPORTED), read_further(values[FURTHER])
    return None if own is None or further is None else [own, *further]
