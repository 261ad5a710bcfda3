"""The source of a run whose URLs came with the request that started it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from typing_extensions import override

from triptych.errors import SourceRefused
from triptych.gather.source import Page, Row, Source
from triptych.runs.brand_store import BrandStore
from triptych.runs.given_urls import GivenUrl

NO_URL = "It has no URL."


class GivenSource(Source):
    """Lists given URLs in their order. A cursor is the number of them that were read."""

    def __init__(self, urls: Sequence[GivenUrl], page_rows: int) -> None:
        self._urls = urls
        self._page_rows = page_rows

    @override
    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        begin = int(cursor or 0)
        for start in range(begin, max(len(self._urls), begin + 1), self._page_rows):
            end = start + self._page_rows
            rows = [_row(start + n, one) for n, one in enumerate(self._urls[start:end])]
            yield Page(rows, str(end) if end < len(self._urls) else None)


class KeptSource(Source):
    """Lists the URLs that are kept for a brand under ``spec``, ``urls:DIGEST``."""

    def __init__(self, brands: BrandStore, spec: str, page_rows: int) -> None:
        self._brands = brands
        self._spec = spec
        self._page_rows = page_rows

    @override
    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        urls = await self._brands.kept_urls(brand, self._spec)
        if urls is None:
            raise SourceRefused(
                f"Brand {brand!r} has no such URLs any more: {self._spec}.",
                remedy="Start a run with the URLs, or with a source.",
            )
        async for page in GivenSource(urls, self._page_rows).pages(brand, cursor):
            yield page


def _row(number: int, one: GivenUrl) -> Row:
    place = f"urls[{number}]"
    if not one.url.strip():
        return Row("", {}, place, refused=NO_URL)
    return Row(one.url, one.metadata, place)
