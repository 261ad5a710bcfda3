"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from triptych.errors import SourceRefused
from triptych.gather.lists.bounds import (
    MIB,
    RECORD_MAX_BYTES,
    expanded_max_bytes,
)
from triptych.gather.lists.cells import json_value
from triptych.gather.lists.record import (
    BadRecord,
    IsUsable,
    ListFormat,
    OpenFile,
    Record,
    check_columns,
    no_urls,
)

BATCH_ROWS = 1000
BATCH_BYTES = 32 * MIB
"""Of a batch, by what the file says of its row groups; at least one row."""
BATCH_VALUES = 200_000
"""Of a batch: values take memory by their number, too."""
ROW_MAX_BYTES = 64 * MIB
"""What a row of a group may have on average, by what the file says. A value is read before it can
be seen to be too large."""
ROW_VALUES_MAX = 100_000
"""The same of the values of one column: a list has several."""
DECODED_BYTES = 8 * MIB
"""Of the rows that are Python's objects at once."""
BUFFER_BYTES = MIB
"""Of a column, while its pages are read."""


class ParquetReader:
    """A Parquet file, read in batches."""

    def __init__(self, opened: OpenFile, is_usable: IsUsable) -> None:
        """Read the schema, and what the file says of its row groups.

        Raises:
            SourceRefused: no column holds URLs; it is no Parquet file, or is broken; a row group
                would expand beyond all measure.
        """
        self._opened = opened
        with self._file() as file:
            names = file.schema_arrow.names
            if not is_usable(names):
                raise no_urls(names)
            check_columns(names)
            self._dictionaries = _dictionaries(file)
            self._batch_rows = _batch_rows(file.metadata)
        self.format = ListFormat("Parquet", names)

    def records(self, offset: int) -> Iterator[Record | BadRecord]:
        """See `ListReader.records`. Row groups before ``offset`` are not read."""
        with self._file(read_dictionary=self._dictionaries) as file:
            number, skip = offset, offset
            groups = list(range(file.num_row_groups))
            while groups and skip >= file.metadata.row_group(groups[0]).num_rows:
                skip -= file.metadata.row_group(groups.pop(0)).num_rows
            batches = (
                file.iter_batches(self._batch_rows, row_groups=groups, use_threads=False)
                if groups
                else ()
            )
            for batch in batches:
                for record in _records(batch.slice(skip), number + 1):
                    number += 1
                    yield record
                skip = max(0, skip - batch.num_rows)

    @contextmanager
    def _file(self, **options: Any) -> Iterator[pq.ParquetFile]:
        try:
            # With a buffer, columns are read page by page instead of whole.
            with (
                self._opened() as opened,
                pq.ParquetFile(opened, buffer_size=BUFFER_BYTES, **options) as file,
            ):
                yield file
        except MemoryError:
            raise  # Also Arrow's own, which is no other fault of the file.
        except pa.ArrowException as error:
            raise SourceRefused(f"The Parquet file cannot be read ({error}).") from error


def _dictionaries(file: pq.ParquetFile) -> Sequence[str]:
    """Return columns of texts that have dictionaries, so that one value is not read many times.

    Not those of lists and objects, of which Arrow does not tell the sizes of rows.
    """
    texts = {field.name for field in file.schema_arrow if _is_text(field.type)}
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    return [
        path
        for place, path in enumerate(file.schema.column(n).path for n in range(len(file.schema)))
        if path in texts and any(group.column(place).has_dictionary_page for group in groups)
    ]


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_large_binary(kind)
    )


def _batch_rows(metadata: pq.FileMetaData) -> int:
    """Return how many rows are read at once.

    Raises:
        SourceRefused: a row group says that it expands too much.
    """
    widest = 1.0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(place) for place in range(group.num_columns)]
        packed = sum(column.total_compressed_size for column in columns)
        size = max(group.total_byte_size, sum(each.total_uncompressed_size for each in columns))
        rows = max(1, group.num_rows)
        values = max((column.num_values for column in columns), default=0)
        if size > expanded_max_bytes(packed):
            raise _expands(number, f"{packed} bytes unpack to {size}")
        if size / rows > ROW_MAX_BYTES:
            raise _expands(number, f"its {rows} rows have {size} bytes")
        if values / rows > ROW_VALUES_MAX:
            raise _expands(number, f"its {rows} rows have {values} values in one column")
        widest = max(widest, size / rows)
    columns_count = max(1, int(metadata.num_columns))
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / widest), BATCH_VALUES // columns_count))


def _expands(group: int, what: str) -> SourceRefused:
    return SourceRefused(
        f"Row group {group + 1} of the Parquet file is too large: {what}.",
        remedy="Write it with smaller row groups and values, or as JSON Lines.",
    )


def _records(batch: pa.RecordBatch, first: int) -> Iterator[Record | BadRecord]:
    """Yield the rows of a batch; those that are too large are never made into Python's objects."""
    sizes = sum((_sizes(column) for column in batch.columns), np.zeros(batch.num_rows, np.int64))
    start = 0
    while start < batch.num_rows:
        if sizes[start] > RECORD_MAX_BYTES:
            problem = f"It has {sizes[start]} bytes; a record may have {RECORD_MAX_BYTES}."
            yield BadRecord(f"row {first + start}", problem)
            start += 1
            continue
        end = start + _count(sizes[start:])
        for record in _decoded(batch.slice(start, end - start)):
            values = {key: json_value(value) for key, value in record.items()}
            yield Record(f"row {first + start}", values)
            start += 1


def _count(sizes: np.ndarray[Any, np.dtype[np.int64]]) -> int:
    """Return how many rows from the first on are decoded at once."""
    enough = np.flatnonzero((sizes > RECORD_MAX_BYTES) | (np.cumsum(sizes) > DECODED_BYTES))
    return max(1, int(enough[0]) if len(enough) else len(sizes))


def _decoded(rows: pa.RecordBatch) -> Sequence[dict[str, Any]]:
    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in rows.columns
    ]
    found: Sequence[dict[str, Any]] = pa.RecordBatch.from_arrays(
        columns, rows.schema.names
    ).to_pylist()
    return found


def _sizes(column: pa.Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the bytes of each value of a column; at least, where one is of a fixed length."""
    if pa.types.is_dictionary(column.type):
        lengths = _sizes(column.dictionary)
        known = pc.fill_null(column.indices, 0).to_numpy(zero_copy_only=False)
        return lengths[known] if len(lengths) else np.zeros(len(column), np.int64)
    if _is_text(column.type):
        lengths = pc.fill_null(pc.binary_length(column), 0)
        return np.asarray(lengths.to_numpy(zero_copy_only=False), np.int64)
    if pa.types.is_nested(column.type) and column.nbytes > RECORD_MAX_BYTES:
        return np.array([column.slice(place, 1).nbytes for place in range(len(column))], np.int64)
    return np.zeros(len(column), np.int64)
