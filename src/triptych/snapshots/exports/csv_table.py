"""The export format ``csv``: one table without embeddings, lists as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

import orjson
import pyarrow as pa
import pyarrow.csv
from typing_extensions import override

from triptych.snapshots.exports.columns import Exported, described, schema
from triptych.snapshots.exports.export_format import ExportFormat, Open, Writer

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters by which a spreadsheet takes a text for a formula."""


class CsvWriter(Writer):
    """A quoted CSV file with a header; text that looks like a formula is escaped."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        columns = [field.name for field in schema(None) if field.name != "embedding"]
        self._schema = pa.schema([(name, pa.string()) for name in columns])
        self._writer = pyarrow.csv.CSVWriter(file, self._schema)

    @override
    def add(self, rows: Sequence[Exported], bodies: Sequence[bytes]) -> None:
        records = [{name: _cell(value) for name, value in described(row).items()} for row in rows]
        self._writer.write_table(pa.Table.from_pylist(records, schema=self._schema))

    @override
    def close(self) -> None:
        self._writer.close()
        self._file.close()


def _cell(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        return orjson.dumps(value).decode()
    return f"'{value}" if value.startswith(FORMULA) else value


def _open(name: str, _dimension: int | None, opening: Open) -> Writer:
    return CsvWriter(opening(f"{name}.csv"))


CSV = ExportFormat(
    name="csv",
    title="CSV",
    description="One row per asset, without embeddings.",
    open=_open,
)
