"""The export format ``parquet``: one table, embeddings included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

import pyarrow.parquet as pq
from typing_extensions import override

from triptych.snapshots.exports.columns import NO_COLUMNS, Exported, schema, table
from triptych.snapshots.exports.export_format import ExportFormat, Open, Writer
from triptych.snapshots.exports.metadata_columns import MetadataColumns


class ParquetWriter(Writer):
    """A Parquet file, one row group per page."""

    def __init__(self, file: IO[bytes], dimension: int | None) -> None:
        self._file = file
        self._dimension = dimension
        self._writer: pq.ParquetWriter | None = None

    @override
    def add(self, rows: Sequence[Exported], bodies: Sequence[bytes]) -> None:
        writer = self._opened(rows[0].metadata_columns)
        writer.write_table(table(rows, writer.schema))

    @override
    def close(self) -> None:
        self._opened(NO_COLUMNS).close()
        self._file.close()

    def _opened(self, metadata: MetadataColumns) -> pq.ParquetWriter:
        """Return the writer; the first page says which columns there are."""
        if self._writer is None:
            columns = schema(self._dimension, metadata)
            self._writer = pq.ParquetWriter(self._file, columns, compression="zstd")
        return self._writer


def _open(name: str, dimension: int | None, opening: Open) -> Writer:
    return ParquetWriter(opening(f"{name}.parquet"), dimension)


PARQUET = ExportFormat(
    name="parquet",
    title="Parquet",
    description="One row per asset, with its embedding and metadata.",
    open=_open,
    metadata_columns=True,
)
