"""Running one source by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

import orjson

from triptych.fetch.guard import AddressGuard
from triptych.fetch.transport import TransportPool
from triptych.gather.source import Page, Row, Source
from triptych.gather.source_registry import SourceRegistry
from triptych.gather.source_token import SourceToken
from triptych.gather.source_type import SourceType

PAGES_MAX = 1_000
"""`collect` reads from every cursor to the end, so its cost is quadratic in the pages."""
CONNECTIONS = 4
PAGE_ROWS = 100
LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


@dataclass(frozen=True, slots=True)
class Collected:
    """The listing of a brand by a source."""

    pages: Sequence[Page]

    @property
    def rows(self) -> Sequence[Row]:
        """The rows of all pages, in order."""
        return [row for page in self.pages for row in page.rows]

    @property
    def urls(self) -> Sequence[str]:
        """The rows' URLs, in order."""
        return [row.url for row in self.rows]


@asynccontextmanager
async def opened(
    kind: SourceType,
    place: str,
    *,
    token: str | None = None,
    page_rows: int = PAGE_ROWS,
    allow: Sequence[IPv4Network | IPv6Network] = LOOPBACK,
) -> AsyncIterator[Source]:
    """Open a source as a run would. Of the non-public networks, only ``allow`` are reachable.

    ``token`` is bound to the source.

    Raises:
        SourceRefused: ``place`` is not a valid place of the source.
    """
    transports = TransportPool(
        AddressGuard(allow), limit=CONNECTIONS, user_agent="triptych-testing"
    )
    spec = f"{kind.scheme}:{place}"
    bound = SourceToken(token, frozenset({spec})) if token else None
    try:
        yield SourceRegistry([kind]).open(
            spec, transports=transports, token=bound, page_rows=page_rows
        )
    finally:
        await transports.close()


async def collect(source: Source, brand: str = "brand") -> Collected:
    """Read a brand's whole listing; then again from every cursor, as after a crash.

    Raises:
        AssertionError: the rows after a cursor differ from the first reading, the metadata is not
            JSON, or there are more than `PAGES_MAX` pages; names the page.
        SourceUnavailable, SourceRefused: as `Source.pages`.
    """
    pages = await _read(source, brand, None)
    for number, page in enumerate(pages, start=1):
        _check(page, number, last=number == len(pages))
        if page.cursor is not None:
            again = await _read(source, brand, page.cursor)
            if _rows(again) != _rows(pages[number:]):
                raise AssertionError(
                    f"From the cursor {page.cursor!r} of page {number}, other rows follow than in "
                    "the first reading."
                )
    return Collected(pages)


async def _read(source: Source, brand: str, cursor: str | None) -> list[Page]:
    pages: list[Page] = []
    async for page in source.pages(brand, cursor):
        pages.append(page)
        if len(pages) > PAGES_MAX:
            raise AssertionError(f"The source has more than {PAGES_MAX} pages.")
    return pages


def _check(page: Page, number: int, *, last: bool) -> None:
    if last is not (page.cursor is None):
        raise AssertionError(f"Page {number} must have a cursor, unless it is the last one.")
    for row in page.rows:
        try:
            orjson.dumps(dict(row.metadata))
        except TypeError as error:
            raise AssertionError(f"Page {number}: metadata of {row.url} is no JSON.") from error


def _rows(pages: Sequence[Page]) -> list[Row]:
    return [row for page in pages for row in page.rows]
