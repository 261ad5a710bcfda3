"""Previews: small pictures of URLs that a source lists, before any of them is acquired."""

from __future__ import annotations

import asyncio
from typing import Protocol

from triptych.errors import ItemError, NotFound, NoThumbnail, Postponed, TooManyRequests
from triptych.fetch.fetcher import Fetcher

PREVIEW_WIDTH = 160
"""In pixels; one of the widths of thumbnails."""
PREVIEWS_AT_ONCE = 4
PREVIEW_MAX_BYTES = 32 * 1024 * 1024
"""Of a picture. A run may take larger ones: these have no preview."""
PREVIEW_DEADLINE_S = 15.0
"""Seconds for one request, its redirects included. It is tried once."""
TURN_S = 30.0
"""Seconds for which a preview waits for others."""


class NoPreview(NotFound):
    """There is no preview of this URL: it cannot be fetched, or is no picture."""


class Shrinks(Protocol):
    """Makes thumbnails of bytes that are not stored."""

    async def of_bytes(self, body: bytes, width: int) -> bytes:
        """Return a WebP at most ``width`` wide.

        Raises:
            NoThumbnail: they are no picture, or cannot be decoded.
        """
        ...


class Previews:
    """Fetches pictures as a run does, with its guard and robots.txt, and shrinks them.

    Nothing is stored. At most `PREVIEWS_AT_ONCE` are made at a time.
    """

    def __init__(self, fetcher: Fetcher, thumbnails: Shrinks) -> None:
        self._fetcher = fetcher
        self._thumbnails = thumbnails
        self._turns = asyncio.Semaphore(PREVIEWS_AT_ONCE)

    async def webp(self, url: str) -> bytes:
        """Return the picture at ``url`` as WebP, at most `PREVIEW_WIDTH` pixels wide.

        Raises:
            NoPreview: the URL is not http(s) or not reached, or has no picture; says why.
            TooManyRequests: others are being made.
        """
        try:
            async with asyncio.timeout(TURN_S):
                await self._turns.acquire()
        except TimeoutError as error:
            raise TooManyRequests("Other previews are being made.", retry_after_s=TURN_S) from error
        try:
            return await self._made(url)
        except ItemError as error:
            raise NoPreview(f"A run would fail here with {error}.") from error
        except (NoThumbnail, Postponed) as error:
            raise NoPreview(error.message) from error
        finally:
            self._turns.release()

    async def _made(self, url: str) -> bytes:
        with await self._fetcher.slot(url):
            fetched = await self._fetcher.fetch(url)
        assert fetched is not None, "it was not asked whether it has changed"
        try:
            return await self._thumbnails.of_bytes(fetched.body, PREVIEW_WIDTH)
        finally:
            fetched.share.release()
