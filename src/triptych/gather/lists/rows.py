"""From a list's records to the rows of one brand."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import msgspec

from triptych.errors import SourceRefused
from triptych.gather.lists.column_samples import FILES_SAMPLED_MAX, ColumnSamples
from triptych.gather.lists.columns import (
    ColumnChoice,
    Columns,
    cell_urls,
    choose_columns,
    find_column,
)
from triptych.gather.lists.exchange import ListRecord
from triptych.gather.lists.list_file import open_list
from triptych.gather.lists.record import BadRecord, ListFormat, ListReader, OpenFile, Record
from triptych.gather.source import ListFound

BRANDS_SHOWN = 10
NAMES_SHOWN = 200
NOT_QUOTED = "What it holds is shown only where its folder or bucket is listed, or it is public."
LAYOUTS_MAX = 1_000
"""Different sets of names among the records of one JSON list whose columns are remembered."""
LAYOUT_NAMES_MAX, LARGE_LAYOUTS_MAX = 200, 20
"""Names of such a set; larger ones are remembered only while there are few."""
RECORD_URLS_MAX = 1000
"""URLs of one record; it would be no list of pictures otherwise."""
EXPORTED = "phash"
"""A column that every exported table has, and hardly any other list."""


class BrandRows:
    """The rows that a list, or several parts of one, has for a brand."""

    def __init__(
        self,
        parts: Sequence[tuple[str, OpenFile]],
        brand: str,
        choice: ColumnChoice,
        *,
        samples: bool = False,
    ) -> None:
        """Open the parts, each a name and what opens its file.

        An empty name of the brand stands for all brands. With ``samples``, values of the columns
        are shown, as far as the list may be quoted, and a table without URLs is not refused.

        Raises:
            SourceRefused: one is no list; it is named.
        """
        self._brand = brand
        self._choice = choice
        self._readers: list[tuple[str, ListReader]] = []
        self._other_brands: dict[str, None] = {}
        self._matched = False
        self._layouts: dict[tuple[str, ...], Columns] = {}
        shown = FILES_SAMPLED_MAX if samples and choice.quotes else 0
        self._samples = [ColumnSamples() for _ in parts[:shown]]
        self._problems: dict[str, str] = {}
        for name, opened in parts:
            reader = self._open(name, opened)
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
        return [self._found(number) for number in range(len(self._readers))]

    def _found(self, number: int) -> ListFound:
        name, reader = self._readers[number]
        found = _found(name, reader.format, self._used(reader))
        key, columns = self._choice.key, reader.format.columns
        return msgspec.structs.replace(
            found,
            key_column=find_column(key, columns) if key is not None and columns else key,
            samples=self._samples[number].shown() if number < len(self._samples) else {},
            problem=self._problems.get(name),
        )

    def brands(self) -> Sequence[str]:
        """Return the first names of other brands that were met; of all brands if none was named."""
        return list(self._other_brands)

    def _used(self, reader: ListReader) -> Sequence[Columns]:
        names = reader.format.columns
        chosen = None if names is None else self._choose(names)
        return list(self._layouts.values()) if chosen is None else [chosen]

    def records(self, offset: int) -> Iterator[ListRecord]:
        """Yield each record after the first ``offset``: without rows if it is another brand's.

        Blocks. A record that names several URLs is several rows.

        Raises:
            SourceRefused: the rest cannot be read, or there are only rows of other brands.
        """
        if len(self._readers) == 1:
            ((name, reader),) = self._readers
            found = self._sampled(0, _read(name, "", reader, offset))
        else:
            every = (
                self._sampled(number, _read(name, f"{name} ", reader, 0))
                for number, (name, reader) in enumerate(self._readers)
            )
            found = islice(chain.from_iterable(every), offset, None)
        for prefix, record in found:
            yield self._record(prefix, record)
        if not offset and self._other_brands and not self._matched:
            names = ", ".join(list(self._other_brands)[:BRANDS_SHOWN])
            raise SourceRefused(
                self._told(
                    f"The list has no row of brand {self._brand!r}.", f"It has rows of: {names}."
                ),
                remedy="Use one of these names, or #brand-column= if that column means another "
                "thing.",
            )

    def _sampled(
        self, number: int, found: Iterator[tuple[str, Record | BadRecord]]
    ) -> Iterator[tuple[str, Record | BadRecord]]:
        if number >= len(self._samples):
            return found
        return self._watched(self._samples[number], found)

    @staticmethod
    def _watched(
        samples: ColumnSamples, found: Iterator[tuple[str, Record | BadRecord]]
    ) -> Iterator[tuple[str, Record | BadRecord]]:
        for prefix, record in found:
            if isinstance(record, Record):
                samples.add(record.values)
            yield prefix, record

    def _record(self, prefix: str, record: Record | BadRecord) -> ListRecord:
        place = f"{prefix}{record.place}"
        if isinstance(record, BadRecord):
            self._matched = True
            return ListRecord(place, problem=record.problem)
        columns = self._columns(record.values)
        if columns is None:
            names = ", ".join(map(str, record.values))[:NAMES_SHOWN] or "none"
            problem = self._told("No column holds URLs.", f"It has: {names}.")
            return ListRecord(place, problem=problem)
        if columns.brand is not None and not self._is_ours(record.values.get(columns.brand)):
            return ListRecord(place)
        self._matched = True
        cells = [record.values.get(name) for name in columns.urls]
        values = {name: v for name, v in record.values.items() if name not in columns.dropped}
        imported = _imported(values)
        # One for each row that the record stands for.
        metadata = [values] if imported is None else imported
        try:
            # An asset of an export has one URL, whatever is in it.
            urls = _urls(cells) if imported is None else [str(cell) for cell in cells if cell]
        except ValueError as error:
            where = " or ".join(columns.urls)
            return ListRecord(place, problem=f"{where}: {error}")
        if not urls:
            where = " or ".join(columns.urls)
            refused = f"There is no URL in {where}."
            return ListRecord(place, metadata=metadata[:1], refused=refused)
        if self._choice.key is not None:
            return self._keyed(urls, metadata, place, self._choice.key)
        return ListRecord(place, urls, metadata)

    def _keyed(
        self, urls: list[str], metadata: list[dict[str, Any]], place: str, wanted: str
    ) -> ListRecord:
        """Return a record that is known by a column's value; its rows, by their number in it."""
        first = metadata[0]
        column = find_column(wanted, tuple(first))
        value = str(first[column]).strip() if column and first[column] is not None else ""
        if not value:
            problem = f"There is no value in {wanted}, by which rows are to be known."
            return ListRecord(place, metadata=[first], refused=problem)
        return ListRecord(place, urls, metadata, value)

    def _is_ours(self, owner: Any) -> bool:
        if owner is None or str(owner) in {"", self._brand}:
            return True
        if len(self._other_brands) < BRANDS_SHOWN:
            self._other_brands[str(owner)[:NAMES_SHOWN]] = None
        return not self._brand

    def _columns(self, values: Mapping[str, Any]) -> Columns | None:
        names = tuple(values)
        known = self._layouts.get(names)
        if known is None and (known := self._choose(names)) is not None:
            if len(self._layouts) >= LAYOUTS_MAX:
                self._layouts.clear()
            if len(names) <= LAYOUT_NAMES_MAX or len(self._layouts) < LARGE_LAYOUTS_MAX:
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

    def _open(self, name: str, opened: OpenFile) -> ListReader:
        try:
            return open_list(opened, name, lambda names: self._choose(names) is not None)
        except SourceRefused as error:
            told = self._told(f"{name}: {error.message}", error.quoted)
            refused = SourceRefused(told, remedy=error.remedy)
            if self._samples and (reader := _as_a_table(name, opened)) is not None:
                self._problems[name] = str(refused)
                return reader
            raise refused from error


def _as_a_table(name: str, opened: OpenFile) -> ListReader | None:
    """Return a reader of a file that is a table, whatever its columns hold; None if it is none."""
    try:
        return open_list(opened, name, _is_header)
    except SourceRefused:
        return None  # It is refused for the first reason.


def _is_header(names: Sequence[str]) -> bool:
    return sum(map(bool, names)) > 1 and all(name.isprintable() for name in names)


def _read(
    name: str, prefix: str, reader: ListReader, offset: int
) -> Iterator[tuple[str, Record | BadRecord]]:
    """Yield a part's records with what is to stand before their places; errors name the part."""
    try:
        for record in reader.records(offset):
            yield prefix, record
    except SourceRefused as error:
        raise SourceRefused(f"{name}: {error.message}", remedy=error.remedy) from error
    except (OSError, EOFError, UnicodeError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceRefused(f"{name}: The list cannot be read to its end ({error}).") from error


def _imported(values: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the metadata of the rows of an exported row; None if it is not one."""
    if EXPORTED not in values:
        return None
    # Imported for such lists only: it takes longer than to read a short list.
    from triptych.snapshots.exports.columns import imported_rows

    found = imported_rows(values)
    return None if found is None else [dict(each) for each in found]


def _urls(cells: Sequence[Any]) -> list[str]:
    """Return the URLs of a record's cells, each once.

    Raises:
        ValueError: there are too many, or they are nested too deeply.
    """
    if len(cells) == 1 and isinstance(cells[0], str) and cells[0].count("//") <= 1:
        # Nearly all records of nearly all lists.
        return [text] if (text := cells[0].strip()) else []
    found = chain.from_iterable(map(cell_urls, cells))
    urls = dict.fromkeys(islice(found, RECORD_URLS_MAX + 1))
    if next(found, None) is not None or len(urls) > RECORD_URLS_MAX:
        raise ValueError(f"It has more than {RECORD_URLS_MAX} URLs.")
    return list(urls)


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
