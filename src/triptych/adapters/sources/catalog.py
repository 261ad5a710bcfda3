"""The source ``catalog``: an HTTP service that lists a brand's URLs page by page.

``GET <url>?brand=nike&cursor=…`` answers ``{"items": [{"url": "…", "metadata": {…}}], "next":
"…" | null}``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from yarl import URL

from triptych.adapters.sources.http import REQUEST_DEADLINE_S, TryAgain, pause, request
from triptych.errors import SourceRefused
from triptych.ports import Page, Row

PAGE_MAX_BYTES = 32 * 1024 * 1024
PAGES_MAX = 1_000_000
CHUNK_BYTES = 64 * 1024
CURSORS_REMEMBERED = 1000
"""Enough to notice a circle; a longer one ends at the limit of pages."""


class _Answer(BaseModel):
    """A page as the service writes it; the items are looked at one by one."""

    model_config = ConfigDict(extra="ignore")

    items: list[Any]
    next: str | None = Field(default=None)


class CatalogSource:
    """Lists a brand from an HTTP service, retried with backoff, with an optional bearer token.

    The token goes to the service's own origin only, never along a redirect to another.
    """

    def __init__(self, url: str, *, session: aiohttp.ClientSession, token: str | None) -> None:
        self._url = url
        self._session = session
        self._headers = {"Accept": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        """See `triptych.ports.Source.pages`."""
        seen = {cursor}
        for _ in range(PAGES_MAX):
            answer = await self._page(brand, cursor)
            cursor = answer.next or None
            yield Page([_row(item) for item in answer.items], cursor)
            if cursor is None:
                return
            if cursor in seen:
                raise SourceRefused(f"The source lists in a circle: cursor {cursor!r} came twice.")
            seen = {*seen, cursor} if len(seen) < CURSORS_REMEMBERED else {cursor}
        raise SourceRefused(f"The source lists more than {PAGES_MAX} pages.")

    async def _page(self, brand: str, cursor: str | None) -> _Answer:
        query = {"brand": brand} if cursor is None else {"brand": brand, "cursor": cursor}
        try:
            url = URL(self._url).update_query(query)
        except ValueError as error:
            raise SourceRefused(f"{self._url!r} is no URL ({error}).") from error
        attempt = 0
        while True:
            attempt += 1
            try:
                async with request(
                    self._session, url, headers=self._headers, deadline_s=REQUEST_DEADLINE_S
                ) as response:
                    return _parse(await _read(response))
            except TryAgain as error:
                await pause(attempt, error)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        body += chunk
        if len(body) > PAGE_MAX_BYTES:
            raise SourceRefused(
                f"A page of the source is larger than {PAGE_MAX_BYTES} bytes.",
                remedy="Let it list fewer items a page.",
            )
    return bytes(body)


def _parse(body: bytes) -> _Answer:
    try:
        return _Answer.model_validate(orjson.loads(body))
    except (orjson.JSONDecodeError, ValidationError) as error:
        shown = (str(error).splitlines() or ["?"])[0]
        raise SourceRefused(
            f"A page of the source cannot be read ({shown}).",
            remedy='It must be {"items": [{"url": "…", "metadata": {}}], "next": "…" or null}.',
        ) from error


def _row(item: Any) -> Row:
    """Read one item; a malformed one becomes a row that fails by itself, not with its page."""
    if not isinstance(item, dict):
        return Row(str(item)[:200], {})
    url, metadata = item.get("url"), item.get("metadata")
    return Row(
        url if isinstance(url, str) else "",
        metadata if isinstance(metadata, dict) else {},
    )
