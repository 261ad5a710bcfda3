"""A source that is a list: one file or several, in whatever form (`triptych.gather.lists`)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from copy import copy
from pathlib import Path
from typing import BinaryIO, Self
from urllib.parse import parse_qs

from typing_extensions import override

from triptych.errors import SourceRefused
from triptych.gather.lists.columns import ColumnChoice
from triptych.gather.lists.exchange import Request
from triptych.gather.lists.list_parsers import (
    MEMORY_MAX_BYTES,
    STEP_CPU_S,
    ListPart,
    list_parser,
)
from triptych.gather.source import Page, Source

URL_COLUMN, BRAND_COLUMN = "url-column", "brand-column"
KEY, IGNORE_QUERY = "key", "ignore-query"
"""Options of a place: see `split_place`."""


class ListSource(Source):
    """Lists a brand from files, which a child process parses.

    This one holds one page of rows in memory, whatever the length. A cursor is the number of
    records read, so reading the same list continues where it stopped.
    """

    def __init__(self, choice: ColumnChoice, *, page_rows: int) -> None:
        self._choice = choice
        self._page_rows = page_rows
        self._samples = False

    def sampled(self) -> Self:
        """See `triptych.gather.source.Sampled`."""
        same = copy(self)
        same._samples = True
        return same

    @override
    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        offset = _offset(cursor)
        async with self.local(brand) as parts, list_parser() as parser:
            await parser.ask(self._request(parts, brand, offset), parts)
            async for page, records in parser.pages():
                offset += len(records)
                rows = [row for record in records for row in record.rows(self._choice.ignored)]
                cursor = None if page.last else str(offset)
                yield Page(rows, cursor, page.lists, page.brands)

    def _request(self, parts: Sequence[ListPart], brand: str, offset: int) -> Request:
        return Request(
            parts=[part.name for part in parts],
            brand=brand,
            urls=list(self._choice.urls),
            brand_column=self._choice.brand,
            key=self._choice.key,
            quotes=self._choice.quotes,
            samples=self._samples,
            offset=offset,
            page_rows=self._page_rows,
            memory_max_bytes=MEMORY_MAX_BYTES,
            step_cpu_s=STEP_CPU_S,
        )

    @abstractmethod
    def local(self, brand: str) -> AbstractAsyncContextManager[Sequence[ListPart]]:
        """Lend the files, on this machine, each with its name; a remote one while it is read.

        Raises:
            SourceRefused: there is none, or it may not be read.
            SourceUnavailable: it cannot be read now; a retry may help.
        """
        ...


def opened(path: Path) -> BinaryIO:
    """Open a file of a list from its beginning."""
    return path.open("rb")


def _offset(cursor: str | None) -> int:
    try:
        return int(cursor or 0)
    except ValueError as error:
        raise SourceRefused(f"{cursor!r} is not a cursor of a list.") from error


def split_place(place: str) -> tuple[str, ColumnChoice]:
    """Return a list's place and the columns that are chosen behind it.

    They are written as a query in the fragment, which no server is sent:
    ``feed.csv#url-column=Photo&url-column=Photo+2&brand-column=``.

    Raises:
        ValueError: an option is unknown; a fragment without ``=`` belongs to the place.
    """
    path, _, fragment = place.partition("#")
    if "=" not in fragment:
        return place, ColumnChoice()
    options = parse_qs(fragment, keep_blank_values=True)
    if unknown := set(options) - {URL_COLUMN, BRAND_COLUMN, KEY, IGNORE_QUERY}:
        raise ValueError(
            f"A list has no option {', '.join(sorted(unknown))}. It has {URL_COLUMN}, "
            f"{BRAND_COLUMN}, {KEY} and {IGNORE_QUERY}."
        )
    brand = options.get(BRAND_COLUMN)
    key = options.get(KEY)
    return path, ColumnChoice(
        tuple(options.get(URL_COLUMN, ())),
        brand[-1] if brand else None,
        key[-1] if key else None,
        frozenset(options.get(IGNORE_QUERY, ())),
    )
