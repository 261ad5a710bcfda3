"""One writer for each format of an export. They block: they belong in a thread."""

from __future__ import annotations

import io
import mimetypes
import tarfile
from collections.abc import Callable, Sequence
from typing import IO, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from triptych.snapshots.exports.columns import Exported, described, schema, table
from triptych.snapshots.exports.formats import ExportFormat

SHARD_MAX_BYTES = 512 * 1024 * 1024
"""A WebDataset's shard is closed once it is larger."""
SHARD_MAX_SAMPLES = 10_000
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula."""

Open = Callable[[str], IO[bytes]]
"""Opens a file of the export by its name, for writing."""


class Writer(Protocol):
    """Takes assets page by page."""

    needs_bodies: bool
    """Whether `add` wants the assets' bytes."""

    def add(self, rows: Sequence[Exported], bodies: Sequence[bytes]) -> None:
        """Write a page."""
        ...

    def close(self) -> None:
        """Finish all files. What is not closed is no export."""
        ...


def open_writer(kind: ExportFormat, name: str, dimension: int | None, opening: Open) -> Writer:
    """Return the writer of a format; its files are called ``name`` with an ending."""
    if kind is ExportFormat.PARQUET:
        return ParquetWriter(opening(f"{name}.parquet"), dimension)
    if kind is ExportFormat.CSV:
        return CsvWriter(opening(f"{name}.csv"))
    return ShardWriter(lambda number: opening(f"{name}-{number:06d}.tar"))


class ParquetWriter:
    """A Parquet file, one row group a page."""

    needs_bodies = False

    def __init__(self, file: IO[bytes], dimension: int | None) -> None:
        self._file = file
        self._schema = schema(dimension)
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    def add(self, rows: Sequence[Exported], _bodies: Sequence[bytes]) -> None:
        """See `Writer.add`."""
        self._writer.write_table(table(rows, self._schema))

    def close(self) -> None:
        """See `Writer.close`."""
        self._writer.close()
        self._file.close()


class CsvWriter:
    """A CSV file with a header, quoted; text that a spreadsheet would run is made harmless."""

    needs_bodies = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        columns = [field.name for field in schema(None) if field.name != "embedding"]
        self._schema = pa.schema([(name, pa.string()) for name in columns])
        self._writer = pyarrow.csv.CSVWriter(file, self._schema)

    def add(self, rows: Sequence[Exported], _bodies: Sequence[bytes]) -> None:
        """See `Writer.add`."""
        records = [{name: _cell(value) for name, value in described(row).items()} for row in rows]
        self._writer.write_table(pa.Table.from_pylist(records, schema=self._schema))

    def close(self) -> None:
        """See `Writer.close`."""
        self._writer.close()
        self._file.close()


def _cell(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        return orjson.dumps(value).decode()
    return f"'{value}" if value.startswith(FORMULA) else value


class ShardWriter:
    """Tar shards as WebDataset reads them: files of one sample share the name before the dot."""

    needs_bodies = True

    def __init__(self, opening: Callable[[int], IO[bytes]]) -> None:
        self._opening = opening
        self._number = 0
        self._samples = 0
        self._written = 0
        self._file: IO[bytes] | None = None
        self._tar: tarfile.TarFile | None = None

    def add(self, rows: Sequence[Exported], bodies: Sequence[bytes]) -> None:
        """See `Writer.add`."""
        for row, body in zip(rows, bodies, strict=True):
            tar = self._shard()
            name = row.asset.key.hex()
            ending = mimetypes.guess_extension(row.asset.media_type) or ".bin"
            self._put(tar, f"{name}{ending}", body)
            self._put(tar, f"{name}.json", orjson.dumps(described(row)))
            if row.asset.embedding is not None:
                npy = io.BytesIO()
                np.save(npy, row.asset.embedding.astype(np.float32))
                self._put(tar, f"{name}.npy", npy.getvalue())
            self._samples += 1
            if self._samples >= SHARD_MAX_SAMPLES or self._written >= SHARD_MAX_BYTES:
                self._finish()

    def _shard(self) -> tarfile.TarFile:
        if self._tar is None:
            self._file = self._opening(self._number)
            self._tar = tarfile.TarFile.open(
                fileobj=self._file, mode="w|", format=tarfile.USTAR_FORMAT
            )
            self._number += 1
            self._samples = self._written = 0
        return self._tar

    def _put(self, tar: tarfile.TarFile, name: str, content: bytes) -> None:
        # Without a time: the same snapshot gives the same bytes.
        told = tarfile.TarInfo(name)
        told.size = len(content)
        told.mode = 0o644
        tar.addfile(told, io.BytesIO(content))
        self._written += len(content)

    def _finish(self) -> None:
        if self._tar is not None:
            self._tar.close()
        if self._file is not None:
            self._file.close()
        self._tar = self._file = None

    def close(self) -> None:
        """See `Writer.close`."""
        if self._number == 0:
            self._shard()
        self._finish()
