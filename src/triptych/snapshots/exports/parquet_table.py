"""The export format ``parquet``: one table, embeddings included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

import pyarrow.parquet as pq
from typing_extensions import override

from triptych.snapshots.exports.columns import Exported, schema, table
from triptych.snapshots.exports.export_format import ExportFormat, Open, Writer


class ParquetWriter(Writer):
    """A Parquet file, one row group per page."""

    def __init__(self, file: IO[bytes], dimension: int | None) -> None:
        self._file = file
        self._schema = schema(dimension)
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    @override
    def add(self, rows: Sequence[Exported], bodies: Sequence[bytes]) -> None:
        self._writer.write_table(table(rows, self._schema))

    @override
    def close(self) -> None:
        self._writer.close()
        self._file.close()


def _open(name: str, dimension: int | None, opening: Open) -> Writer:
    return ParquetWriter(opening(f"{name}.parquet"), dimension)


PARQUET = ExportFormat(
    name="parquet",
    title="Parquet",
    description="One row per asset, with its embedding and metadata.",
    open=_open,
)
