"""From a list's records to the rows of one brand."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from triptych.errors import SourceRefused
from triptych.gather.lists.columns import Columns, cell_urls, choose_columns, find_column
from triptych.gather.lists.list_file import open_list
from triptych.gather.lists.record import BadRecord, ListFormat, ListReader, Record
from triptych.gather.source import ListFound, Row
from triptych.model import Metadata
from triptych.snapshots.exports.columns import imported_rows

BRANDS_SHOWN = 10
NAMES_SHOWN = 200
NOT_QUOTED = "What it holds is shown only where its folder or bucket is listed, or it is public."
LAYOUTS_MAX = 1_000
"""Different sets of names among the records of one JSON list whose columns are remembered."""


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """Columns that someone chose; what is not chosen is found by its name."""

    urls: Sequence[str] = ()
    brand: str | None = None
    """An empty text: no column has the brand."""
    key: str | None = None
    """The column whose value makes a row the same asset in each run; None: its URL does."""
    ignored: frozenset[str] = frozenset()
    """Parameters of URLs' queries that do not, either."""
    quotes: bool = True
    """Whether errors may quote the list to whoever named it: its columns, sheets and brands."""


class BrandRows:
    """The rows that a list, or several parts of one, has for a brand."""

    def __init__(
        self, parts: Sequence[tuple[str, Path]], brand: str, choice: ColumnChoice, stack: ExitStack
    ) -> None:
        """Open the parts, each a name and a file; ``stack`` is that of `open_list`.

        An empty name of the brand stands for all brands.

        Raises:
            SourceRefused: one is no list; it is named.
        """
        self._brand = brand
        self._choice = choice
        self._readers: list[tuple[str, ListReader]] = []
        self._other_brands: dict[str, None] = {}
        self._matched = False
        self._layouts: dict[tuple[str, ...], Columns] = {}
        for name, path in parts:
            reader = self._open(name, path, stack)
            self._check_key(name, reader.format.columns)
            self._readers.append((name, reader))

    def _check_key(self, name: str, columns: Sequence[str] | None) -> None:
        wanted = self._choice.key
        if wanted is None or columns is None or find_column(wanted, columns):
            return
        quoted = f"Its columns are: {', '.join(columns)[:NAMES_SHOWN]}."
        raise SourceRefused(
            self._told(f"{name}: No column is called {wanted!r}.", quoted),
            remedy="Name the column by which rows are known, or none.",
        )

    def _told(self, message: str, quoted: str) -> str:
        """Return a message with what quotes the list, for those who may read it."""
        if not quoted:
            return message
        return f"{message} {quoted if self._choice.quotes else NOT_QUOTED}"

    def found(self) -> Sequence[ListFound]:
        """Return what the lists were found to be, with the columns that were used so far."""
        return [_found(name, reader.format, self._used(reader)) for name, reader in self._readers]

    def brands(self) -> Sequence[str]:
        """Return the first names of other brands that were met; of all brands if none was named."""
        return list(self._other_brands)

    def _used(self, reader: ListReader) -> Sequence[Columns]:
        names = reader.format.columns
        chosen = None if names is None else self._choose(names)
        return list(self._layouts.values()) if chosen is None else [chosen]

    def records(self, offset: int) -> Iterator[Sequence[Row]]:
        """Yield each record after the first ``offset`` as rows: none if it is another brand's.

        Blocks. A record that names several URLs is several rows.

        Raises:
            SourceRefused: the rest cannot be read, or there are only rows of other brands.
        """
        found: Iterator[tuple[str, Record | BadRecord]]
        if len(self._readers) == 1:
            (_, reader), prefix = self._readers[0], ""
            found = ((prefix, each) for each in reader.records(offset))
        else:
            every = (
                ((f"{name} ", each) for each in reader.records(0)) for name, reader in self._readers
            )
            found = islice(chain.from_iterable(every), offset, None)
        try:
            for prefix, record in found:
                yield self._rows(prefix, record)
        except (OSError, EOFError, UnicodeError, zipfile.BadZipFile, pa.ArrowException) as error:
            raise SourceRefused(f"The list cannot be read to its end ({error}).") from error
        if not offset and self._other_brands and not self._matched:
            names = ", ".join(list(self._other_brands)[:BRANDS_SHOWN])
            raise SourceRefused(
                self._told(
                    f"The list has no row of brand {self._brand!r}.", f"It has rows of: {names}."
                ),
                remedy="Use one of these names, or #brand-column= if that column means another "
                "thing.",
            )

    def _rows(self, prefix: str, record: Record | BadRecord) -> Sequence[Row]:
        place = f"{prefix}{record.place}"
        if isinstance(record, BadRecord):
            self._matched = True
            return [Row("", {}, place=place, problem=record.problem)]
        columns = self._columns(record.values)
        if columns is None:
            names = ", ".join(map(str, record.values))[:NAMES_SHOWN] or "none"
            problem = self._told("No column holds URLs.", f"It has: {names}.")
            return [Row("", {}, place=place, problem=problem)]
        if columns.brand is not None and not self._is_ours(record.values.get(columns.brand)):
            return []
        self._matched = True
        cells = [record.values.get(name) for name in columns.urls]
        values = {name: v for name, v in record.values.items() if name not in columns.dropped}
        imported = imported_rows(values)
        if imported is None:
            urls = list(dict.fromkeys(url for cell in cells for url in cell_urls(cell)))
        else:
            # An asset has one URL, whatever is in it.
            urls = [str(cell) for cell in cells if cell]
        # One for each row that the record stands for.
        metadata = [values] if imported is None else imported
        if not urls:
            where = " or ".join(columns.urls)
            return [Row("", metadata[0], place=place, refused=f"There is no URL in {where}.")]
        if self._choice.key is not None:
            return self._keyed(urls, metadata, place, self._choice.key)
        ignored = self._choice.ignored
        return [Row(url, each, place, ignored=ignored) for url in urls for each in metadata]

    def _keyed(
        self, urls: Sequence[str], metadata: Sequence[Metadata], place: str, wanted: str
    ) -> Sequence[Row]:
        """Return rows that are known by a column's value, and by their number in their record."""
        first = metadata[0]
        column = find_column(wanted, tuple(first))
        value = str(first[column]).strip() if column and first[column] is not None else ""
        if not value:
            problem = f"There is no value in {wanted}, by which rows are to be known."
            return [Row("", first, place=place, refused=problem)]
        return [
            Row(url, each, place, identity=f"{value}\n{number}" if number else value)
            for number, url in enumerate(urls)
            for each in metadata
        ]

    def _is_ours(self, owner: Any) -> bool:
        if owner is None or str(owner) in {"", self._brand}:
            return True
        if len(self._other_brands) < BRANDS_SHOWN:
            self._other_brands[str(owner)] = None
        return not self._brand

    def _columns(self, values: Mapping[str, Any]) -> Columns | None:
        names = tuple(values)
        known = self._layouts.get(names)
        if known is None and (known := self._choose(names)) is not None:
            if len(self._layouts) >= LAYOUTS_MAX:
                self._layouts.clear()
            self._layouts[names] = known
        return known

    def _choose(self, names: Sequence[str]) -> Columns | None:
        found = choose_columns(names)
        urls: Sequence[str] = found.urls if found else ()
        if self._choice.urls:
            urls = [name for each in self._choice.urls if (name := find_column(each, names))]
        brand = found.brand if found else find_column("brand", names)
        if self._choice.brand is not None:
            brand = find_column(self._choice.brand, names) if self._choice.brand else None
        return Columns(urls, brand) if urls else None

    def _open(self, name: str, path: Path, stack: ExitStack) -> ListReader:
        try:
            return open_list(path, name, lambda names: self._choose(names) is not None, stack)
        except SourceRefused as error:
            told = self._told(f"{name}: {error.message}", error.quoted)
            raise SourceRefused(told, remedy=error.remedy) from error


def _found(name: str, found: ListFormat, used: Sequence[Columns]) -> ListFound:
    brands = [columns.brand for columns in used if columns.brand is not None]
    return ListFound(
        name=name,
        format=found.name,
        encoding=found.encoding,
        delimiter=found.delimiter,
        columns=None if found.columns is None else list(found.columns),
        url_columns=list(dict.fromkeys(url for columns in used for url in columns.urls)),
        brand_column=brands[0] if brands else None,
        notes=list(found.notes),
    )
