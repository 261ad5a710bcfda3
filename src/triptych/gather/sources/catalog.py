"""The source ``catalog``: an HTTP service that lists a brand's URLs page by page.

``GET <url>?brand=nike&cursor=…`` answers ``{"items": [{"url": "…", "metadata": {…}}], "next":
"…" | null}``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from typing_extensions import override

from triptych.errors import SourceRefused
from triptych.fetch.web_url import parse_web_url, with_query
from triptych.gather.http_reader import DoubtfulAnswer, HttpReader
from triptych.gather.lists.exchange import Request
from triptych.gather.lists.list_parsers import (
    MEMORY_MAX_BYTES,
    STEP_CPU_S,
    ListParser,
    PageDoubted,
    ParsedPage,
    list_parser,
)
from triptych.gather.source import Page, Source
from triptych.gather.source_type import SourceContext, SourceType
from triptych.shown_url import shown_url

PAGE_MAX_BYTES = 32 * 1024 * 1024
PAGE_DEADLINE_S = 60.0
PAGES_MAX = 1_000_000
PART_RECORDS = 1000
"""Items that come from the parser at once."""


class _Parsing:
    """Parses pages in a child process, which is started for the first one.

    Parsing takes the interpreter's lock: in a thread, all else would stand still meanwhile.
    """

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._parser: ListParser | None = None

    async def __aenter__(self) -> _Parsing:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def parse(self, body: bytes) -> ParsedPage:
        """Return what is in a page; see `ListParser.parse`."""
        if self._parser is None:
            self._parser = await self._stack.enter_async_context(list_parser())
            request = Request(
                parts=None,
                page_rows=PART_RECORDS,
                memory_max_bytes=MEMORY_MAX_BYTES,
                step_cpu_s=STEP_CPU_S,
            )
            await self._parser.ask(request)
        try:
            return await self._parser.parse(body)
        except PageDoubted as doubt:
            remedy = doubt.remedy or ""
            raise DoubtfulAnswer(doubt.message, remedy=remedy, at_once=doubt.at_once) from doubt


class CatalogSource(Source):
    """Lists a brand from an HTTP service, retried with backoff, with an optional bearer token.

    What its first page answers is believed: a 404 is a brand that it does not know. On a later page
    it has answered for the brand before, so any refusal is tried again first, and so is a page that
    is no JSON wherever it is. A child process parses the pages.

    The token goes to the service's own origin only, never along a redirect to another.
    """

    def __init__(self, url: str, asking: HttpReader, *, token: str | None) -> None:
        self._url = url
        self._asking = asking
        self._headers = {"Accept": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    @override
    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        if not brand:
            raise SourceRefused("A service lists one brand.", remedy="Name the brand.")
        async with _Parsing() as parsing:
            async for page in self._all(parsing, brand, cursor):
                yield page

    async def _all(self, parsing: _Parsing, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        # Brent's algorithm: in a cycle of any length the cursor meets the milestone again.
        milestone, steps, stretch = cursor, 0, 1
        for _ in range(PAGES_MAX):
            parsed = await self._page(parsing, brand, cursor)
            cursor = parsed.cursor
            yield Page([row for record in parsed.records for row in record.rows()], cursor)
            if cursor is None:
                return
            if cursor == milestone:
                raise SourceRefused(
                    f"The source never ends: cursor {cursor[:100]!r} was returned twice."
                )
            steps += 1
            if steps == stretch:
                milestone, steps, stretch = cursor, 0, stretch * 2
        raise SourceRefused(f"The source lists more than {PAGES_MAX} pages.")

    async def _page(self, parsing: _Parsing, brand: str, cursor: str | None) -> ParsedPage:
        query = {"brand": brand} if cursor is None else {"brand": brand, "cursor": cursor}
        try:
            url = with_query(parse_web_url(self._url), query)
        except ValueError as error:
            raise SourceRefused(f"{shown_url(self._url)!r} is not a URL ({error}).") from error
        return await self._asking.read_page(
            url,
            parsing.parse,
            midway=cursor is not None,
            headers=self._headers,
            deadline_s=PAGE_DEADLINE_S,
            max_bytes=PAGE_MAX_BYTES,
        )


def _check(place: str) -> None:
    try:
        parse_web_url(place)
    except ValueError as error:
        raise ValueError(f"The address of a catalogue service is not a URL: {error}.") from error


def _open(place: str, context: SourceContext) -> Source:
    return CatalogSource(place, context.http, token=context.token)


CATALOG = SourceType(
    scheme="catalog",
    title="A catalogue service",
    description="An HTTP service that lists the brand page by page.",
    place="https://…",
    example="https://catalogue.example.com/media",
    open=_open,
    check=_check,
)
