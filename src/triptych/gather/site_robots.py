"""The robots.txt of a site whose pages are read: see `triptych.fetch.robots`."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import aiohttp
from yarl import URL

from triptych.errors import (
    PermanentItemError,
    SourceRefused,
    SourceUnavailable,
    TransientItemError,
)
from triptych.fetch.fetcher import robots_answer
from triptych.fetch.guard import REFUSED_REMEDY, refusal
from triptych.fetch.redirects import follow_redirects
from triptych.fetch.robots import Robots, RobotsAnswer
from triptych.fetch.transport import HttpTransport
from triptych.gather.http_reader import READ_DEADLINE_S, REDIRECTS_MAX, HttpReader
from triptych.model import Reason

WAIT_S = 2 * READ_DEADLINE_S
"""Longer than the request for the file may take."""


class Disallowed(SourceRefused):
    """A site's robots.txt disallows a URL."""


class SiteRobots:
    """Asks a host's robots.txt about each URL; the file is requested once an hour."""

    def __init__(self, asking: HttpReader) -> None:
        self._asking = asking
        self._robots = Robots(self._get)

    async def check(self, url: URL) -> float | None:
        """Return the host's Crawl-delay in seconds, if it has one.

        Raises:
            Disallowed: the file disallows the URL.
            SourceRefused: the host is at an address that is not reached.
            SourceUnavailable: the file cannot be had for now, which disallows everything
                (RFC 9309 §2.3.1.4).
        """
        way = self._asking.transports.way(self._asking.source, url)
        try:
            return await self._robots.check(way, wait_s=WAIT_S)
        except TimeoutError as error:
            raise SourceUnavailable(
                f"{url.raw_host} does not give its robots.txt within {WAIT_S:g} s."
            ) from error
        except TransientItemError as error:
            raise SourceUnavailable(
                f"{error.detail}.", retry_after_s=error.retry_after_s
            ) from error
        except PermanentItemError as error:
            if error.reason is Reason.ROBOTS_DISALLOWED:
                raise Disallowed(f"The {error.detail} disallows it.") from error
            raise SourceRefused(
                f"The site is at an address that is refused ({error.detail}).",
                remedy=REFUSED_REMEDY,
            ) from error

    async def close(self) -> None:
        """Cancel what is under way. Safe to repeat."""
        await self._robots.close()

    async def _get(self, way: HttpTransport) -> RobotsAnswer:
        """Request a host's robots.txt, without keys, along redirects that the guard permits.

        Raises:
            TransientItemError: it cannot be had.
            PermanentItemError: the host may not be reached at all.
        """
        guard = self._asking.transports.guard
        url = way.url.origin() / "robots.txt"

        async def ask(target: URL) -> aiohttp.ClientResponse:
            agent = {"User-Agent": way.user_agent}
            session = replace(way, url=target).session
            return await session.get(target, headers=agent, allow_redirects=False)

        try:
            async with asyncio.timeout(READ_DEADLINE_S):
                answer = await follow_redirects(url, ask, guard=guard, redirects_max=REDIRECTS_MAX)
                async with answer.response:
                    return await robots_answer(answer.response)
        except PermanentItemError as error:
            if error.reason is Reason.TOO_MANY_REDIRECTS:
                # It counts as absent (RFC 9309 §2.3.1.2).
                return RobotsAnswer(404, "", None)
            raise TransientItemError(Reason.ROBOTS_UNREACHABLE, error.detail) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if (refused := refusal(error)) is not None:
                raise PermanentItemError(Reason.ADDRESS_REFUSED, str(refused)) from error
            shown = " ".join(str(error).split()) or type(error).__name__
            raise TransientItemError(Reason.ROBOTS_UNREACHABLE, shown) from error
