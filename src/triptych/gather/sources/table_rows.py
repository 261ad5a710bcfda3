"""Rows of a manifest in any format, one by one, from any offset."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from triptych.errors import SourceRefused
from triptych.gather.source import Row

LINE_MAX_BYTES = 1024 * 1024
"""A longer line of JSON is a row that fails; a longer field of CSV ends the manifest."""
SNIFF_BYTES = 64 * 1024
PARQUET_BATCH_ROWS = 1000
DELIMITERS = ",;\t|"
URL = "url"
BRAND = "brand"
PARQUET_MAGIC = b"PAR1"
GZIP_MAGIC = b"\x1f\x8b"
NEEDS_URL = "A manifest needs a column `url`."


def read_rows(path: Path, name: str, brand: str, offset: int) -> Iterator[Row | None]:
    """Return the file's rows after the first ``offset``; None for a row of another brand.

    The content decides the format, or ``name`` where it does not: Parquet and gzip by their
    first bytes, JSON Lines by a leading brace or the suffix, otherwise CSV.

    Raises:
        SourceRefused: the file cannot be read, or has no column ``url``.
    """
    try:
        return _rows(path, name.lower(), brand, offset)
    except (OSError, EOFError, pa.ArrowException, UnicodeError, csv.Error) as error:
        raise SourceRefused(f"The manifest {name} cannot be read ({error}).") from error


def _rows(path: Path, name: str, brand: str, offset: int) -> Iterator[Row | None]:
    with path.open("rb") as file:
        magic = file.read(len(PARQUET_MAGIC))
    if magic == PARQUET_MAGIC:
        records = _parquet(path, offset)
    else:
        # Closed by the generator that reads it, at its end or when it is dropped.
        opened: Any = gzip.open(path, "rb") if magic.startswith(GZIP_MAGIC) else path.open("rb")  # noqa: SIM115
        stem = name.removesuffix(".gz")
        head = opened.read(SNIFF_BYTES)
        opened.seek(0)
        json_lines = stem.endswith((".jsonl", ".ndjson")) or (
            not stem.endswith((".csv", ".tsv")) and head.lstrip()[:1] == b"{"
        )
        found = _json_lines(opened) if json_lines else _csv(opened, head)
        records = islice(found, offset, None)
    return _for_brand(_guarded(records, name), brand)


Record = Mapping[str, Any] | Row


def _guarded(records: Iterator[Record], name: str) -> Iterator[Record]:
    """Turn an error in the middle of a file into `SourceRefused`."""
    try:
        yield from records
    except (OSError, EOFError, pa.ArrowException, UnicodeError, csv.Error) as error:
        raise SourceRefused(f"The manifest {name} cannot be read to its end ({error}).") from error


def _for_brand(records: Iterator[Record], brand: str) -> Iterator[Row | None]:
    for record in records:
        if isinstance(record, Row):
            yield record
            continue
        owner = record.get(BRAND)
        if owner is not None and str(owner) != brand:
            yield None
            continue
        url = record.get(URL)
        metadata = {key: value for key, value in record.items() if key not in (URL, BRAND)}
        yield Row(url if isinstance(url, str) else "" if url is None else str(url), metadata)


def _csv(file: IO[bytes], head: bytes) -> Iterator[Record]:
    first_line = head.partition(b"\n")[0].decode("utf-8", "replace")
    delimiter = max(DELIMITERS, key=first_line.count)
    csv.field_size_limit(LINE_MAX_BYTES)
    with file, io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter)
        header = [name.strip() for name in next(reader, [])]
        if URL not in header:
            raise SourceRefused(
                f"{NEEDS_URL} Its columns are: {', '.join(header)[:200] or 'none'}."
            )
        for values in reader:
            if values:
                # Cells beyond the header have no name; missing ones are empty.
                yield dict(zip(header, values, strict=False))


def _json_lines(file: IO[bytes]) -> Iterator[Record]:
    number = 0
    with file:
        while line := file.readline(LINE_MAX_BYTES):
            number += 1
            whole = line.endswith(b"\n") or len(line) < LINE_MAX_BYTES
            if not whole:
                while (rest := file.readline(LINE_MAX_BYTES)) and not rest.endswith(b"\n"):
                    pass
            text = line.removeprefix(codecs.BOM_UTF8).strip()
            if text:
                yield _json_line(text, number) if whole else Row(f"line {number}: too long", {})


def _json_line(text: bytes, number: int) -> Record:
    """Read a line; one that is not an object becomes a failed row."""
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Row(f"line {number}: {error}", {})
    return record if isinstance(record, dict) else Row(f"line {number}: not a JSON object", {})


def _parquet(path: Path, offset: int) -> Iterator[Record]:
    file = pq.ParquetFile(path)
    if URL not in file.schema_arrow.names:
        names = ", ".join(file.schema_arrow.names)
        file.close()
        raise SourceRefused(f"{NEEDS_URL} Its columns are: {names[:200]}.")
    return _parquet_records(file, offset)


def _parquet_records(file: pq.ParquetFile, offset: int) -> Iterator[Record]:
    with file:
        groups = list(range(file.num_row_groups))
        # Whole row groups before the offset are not even read.
        while groups and offset >= file.metadata.row_group(groups[0]).num_rows:
            offset -= file.metadata.row_group(groups.pop(0)).num_rows
        batches = file.iter_batches(PARQUET_BATCH_ROWS, row_groups=groups) if groups else ()
        for batch in batches:
            for record in batch.slice(offset).to_pylist():
                yield {key: _json_value(value) for key, value in record.items()}
            offset = max(0, offset - batch.num_rows)


def _json_value(value: Any) -> Any:
    """Convert a Parquet value to JSON: times as ISO 8601, bytes as hexadecimal, NaN as null."""
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
        return {str(key): _json_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(inner) for inner in value]
    return value
