"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from triptych.gather.lists.record import BadRecord, IsUsable, ListFormat, Record, no_urls

MAGIC = b"PAR1"
BATCH_ROWS = 1000


class ParquetReader:
    """A Parquet file, read in batches."""

    def __init__(self, path: Path, is_usable: IsUsable) -> None:
        """Read the schema.

        Raises:
            SourceRefused: no column holds URLs.
            pa.ArrowException, OSError: it is no Parquet file, or is broken.
        """
        self._path = path
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
        if not is_usable(names):
            raise no_urls(names)
        self.format = ListFormat("Parquet", names)

    def records(self, offset: int) -> Iterator[Record | BadRecord]:
        """See `ListReader.records`. Row groups before ``offset`` are not read."""
        with pq.ParquetFile(self._path) as file:
            number, skip = offset, offset
            groups = list(range(file.num_row_groups))
            while groups and skip >= file.metadata.row_group(groups[0]).num_rows:
                skip -= file.metadata.row_group(groups.pop(0)).num_rows
            batches = file.iter_batches(BATCH_ROWS, row_groups=groups) if groups else ()
            for batch in batches:
                for record in batch.slice(skip).to_pylist():
                    number += 1
                    values = {key: json_value(value) for key, value in record.items()}
                    yield Record(f"row {number}", values)
                skip = max(0, skip - batch.num_rows)


def json_value(value: Any) -> Any:
    """Convert a value to JSON: times as ISO 8601, bytes as hexadecimal, NaN as null."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(inner) for inner in value]
    return value
