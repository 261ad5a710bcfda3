"""The export format ``csv``: one table without embeddings, lists as JSON."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import IO

import pyarrow as pa
import pyarrow.csv
from typing_extensions import override

from triptych.snapshots.exports.columns import NO_COLUMNS, Exported, described, schema
from triptych.snapshots.exports.export_format import ExportFormat, Open, Writer
from triptych.snapshots.exports.metadata_columns import MetadataColumns, shown_text


class CsvWriter(Writer):
    """A quoted CSV file with a header; text that looks like a formula is escaped.

    It begins with a byte order mark: without one, Excel reads it as Windows-1252.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._writer: pyarrow.csv.CSVWriter | None = None
        self._schema = pa.schema([])

    @override
    def add(self, rows: Sequence[Exported], bodies: Sequence[bytes]) -> None:
        writer = self._opened(rows[0].metadata_columns)
        records = [_record(row) for row in rows]
        writer.write_table(pa.Table.from_pylist(records, schema=self._schema))

    @override
    def close(self) -> None:
        self._opened(NO_COLUMNS).close()
        self._file.close()

    def _opened(self, metadata: MetadataColumns) -> pyarrow.csv.CSVWriter:
        """Return the writer; the first page says which columns there are."""
        if self._writer is None:
            names = [field.name for field in schema(None, metadata) if field.name != "embedding"]
            self._schema = pa.schema([(name, pa.string()) for name in names])
            self._file.write(codecs.BOM_UTF8)
            self._writer = pyarrow.csv.CSVWriter(self._file, self._schema)
        return self._writer


def _record(row: Exported) -> dict[str, str | None]:
    cells = {**described(row), **row.metadata_columns.cells(row.asset.metadata)}
    return {name: _cell(value) for name, value in cells.items()}


def _cell(value: object) -> str | None:
    return None if value is None else shown_text(value)


def _open(name: str, _dimension: int | None, opening: Open) -> Writer:
    return CsvWriter(opening(f"{name}.csv"))


CSV = ExportFormat(
    name="csv",
    title="CSV",
    description="One row per asset, without embeddings.",
    open=_open,
    metadata_columns=True,
)
