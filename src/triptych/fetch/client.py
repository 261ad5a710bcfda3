"""Fetching one URL: guarded, bounded in time and bytes, every outcome a reason."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from triptych.errors import PermanentItemError, TransientItemError
from triptych.fetch.guard import AddressGuard, guarded_connector, refusal
from triptych.fetch.hosts import Hosts, Turn
from triptych.fetch.politeness import (
    ROBOTS_MAX_BYTES,
    Robots,
    RobotsAnswer,
    check_opt_out,
)
from triptych.model import Reason

CHUNK_BYTES = 64 * 1024
RETRY_AFTER_MAX_S = 3600.0
HEADER_LINE_MAX_BYTES = 8190
ACCEPT = "image/*,*/*;q=0.5"
NOT_MODIFIED = 304
THROTTLING = frozenset({429, 503})
ROBOTS_REDIRECTS_MAX = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})

PERMANENT: Mapping[int, Reason] = MappingProxyType(
    {
        401: Reason.FORBIDDEN,
        403: Reason.FORBIDDEN,
        404: Reason.NOT_FOUND,
        410: Reason.NOT_FOUND,
        451: Reason.FORBIDDEN,
    }
)
TRANSIENT: Mapping[int, Reason] = MappingProxyType(
    {408: Reason.TIMEOUT, 425: Reason.TIMEOUT, 429: Reason.THROTTLED}
)


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server told of a body that is here already (RFC 9110 §8.8)."""

    etag: str | None
    last_modified: str | None

    def headers(self) -> dict[str, str]:
        """Return the headers that ask for the body only if it has changed."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL answered."""

    body: bytes
    """Decompressed, whole."""
    media_type: str
    """As the server declares it; never trusted."""
    etag: str | None
    last_modified: str | None
    final_url: str
    """Behind all redirects."""


class Fetcher:
    """Fetches URLs over one connection pool. Safe to share between tasks of one event loop.

    ``deadline_s`` covers everything a URL takes: names, connections, redirects, headers, body.
    """

    def __init__(
        self,
        guard: AddressGuard,
        *,
        deadline_s: float,
        max_bytes: int,
        max_redirects: int,
        user_agent: str,
        concurrency: int,
        robots: bool,
        opt_outs: bool,
        hosts: Hosts,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._guard = guard
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes
        self._max_redirects = max_redirects
        self._headers = {"User-Agent": user_agent, "Accept": ACCEPT}
        self._concurrency = concurrency
        self._resolver = resolver
        self._opt_outs = opt_outs
        self._hosts = hosts
        self._robots = Robots(self._robots_txt) if robots else None
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, known: Validators | None = None) -> Fetched | None:
        """Return what ``url`` answers, redirects followed; None if it is as ``known`` still.

        Raises:
            PermanentItemError: trying again would give the same answer.
            TransientItemError: trying again may help; with the server's Retry-After, if any.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._follow(URL(url), known.headers() if known else {})
        except TimeoutError as error:
            detail = f"not done within {self._deadline_s:g} s"
            raise TransientItemError(Reason.TIMEOUT, detail) from error
        except aiohttp.ClientPayloadError as error:
            raise TransientItemError(Reason.TRUNCATED, _text(error)) from error
        except aiohttp.ClientConnectorCertificateError as error:
            # Before ValueError, which it is too: the URL is right, and certificates get renewed.
            raise TransientItemError(Reason.CONNECTION_FAILED, _text(error)) from error
        except (aiohttp.InvalidURL, ValueError) as error:
            raise PermanentItemError(Reason.INVALID_URL, _text(error)) from error
        except aiohttp.ClientResponseError as error:
            # The server does not speak HTTP, or sends more headers than it may.
            raise PermanentItemError(Reason.HTTP_ERROR, _text(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            if (refused := refusal(error)) is not None:
                raise PermanentItemError(Reason.ADDRESS_REFUSED, str(refused)) from error
            raise TransientItemError(Reason.CONNECTION_FAILED, _text(error)) from error

    async def close(self) -> None:
        """Close the pool. Safe to repeat."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=guarded_connector(
                    self._guard, limit=self._concurrency, resolver=self._resolver
                ),
                # Nothing that one server says reaches another.
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                headers=self._headers,
                trust_env=False,
                max_line_size=HEADER_LINE_MAX_BYTES,
            )
        return self._session

    async def _follow(self, url: URL, headers: Mapping[str, str]) -> Fetched | None:
        for _ in range(self._max_redirects + 1):
            self._guard.check_url(url)
            await self._heed_robots(url)
            async with self._open().get(url, headers=headers, allow_redirects=False) as response:
                if response.status not in REDIRECTS:
                    self._note(str(url.host), response)
                    if self._opt_outs:
                        check_opt_out(response.headers)
                    unchanged = response.status == NOT_MODIFIED and headers
                    return None if unchanged else await self._read(url, response)
                location = response.headers.get("Location")
                if location is None:
                    detail = f"HTTP {response.status} without a Location"
                    raise PermanentItemError(Reason.HTTP_ERROR, detail)
                url = url.join(URL(location))
        raise PermanentItemError(
            Reason.TOO_MANY_REDIRECTS, f"more than {self._max_redirects} redirects"
        )

    async def _heed_robots(self, url: URL) -> None:
        if self._robots is not None:
            delay = await self._robots.check(url)
            if delay is not None:
                self._hosts.pace(str(url.host), delay)

    async def _robots_txt(self, url: URL) -> RobotsAnswer:
        """Get a host's robots.txt, redirects followed as for any other URL."""
        try:
            async with asyncio.timeout(self._deadline_s):
                for _ in range(ROBOTS_REDIRECTS_MAX + 1):
                    self._guard.check_url(url)
                    async with self._open().get(url, allow_redirects=False) as response:
                        location = response.headers.get("Location")
                        if response.status not in REDIRECTS or location is None:
                            body = await _head(response, ROBOTS_MAX_BYTES)
                            return RobotsAnswer(response.status, body.decode("utf-8", "replace"))
                        url = url.join(URL(location))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransientItemError(Reason.ROBOTS_UNREACHABLE, _text(error)) from error
        # Endless redirects are no rules (RFC 9309 §2.3.1.2).
        return RobotsAnswer(404, "")

    def _note(self, host: str, response: aiohttp.ClientResponse) -> None:
        """Let a host rest that asks for it: the host slows down, not the worker."""
        if response.status in THROTTLING:
            asked = parse_retry_after(response.headers.get("Retry-After"))
            self._hosts.throttled(host, asked)
        else:
            self._hosts.answered(host)

    async def turn(self, url: str) -> Turn:
        """Wait for a turn at the host of ``url``; to be held while it is fetched.

        The host's robots.txt comes first: it says at which pace turns are to be had.

        Raises:
            HostBusy: the wait would be long.
            PermanentItemError, TransientItemError: as `fetch` raises them, for what can be told
                before it is fetched.
        """
        place = URL(url)
        self._guard.check_url(place)
        await self._heed_robots(place)
        return await self._hosts.turn(place.host or "")

    async def _read(self, url: URL, response: aiohttp.ClientResponse) -> Fetched:
        _check_status(response)
        declared = response.content_length
        if declared is not None and declared > self._max_bytes:
            raise self._too_large(f"{declared} bytes declared")
        body = bytearray()
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            body += chunk
            if len(body) > self._max_bytes:
                raise self._too_large("the body goes on")
        if not body:
            raise PermanentItemError(Reason.NOT_AN_IMAGE, "an empty body")
        return Fetched(
            body=bytes(body),
            media_type=response.content_type,
            etag=response.headers.get("ETag"),
            last_modified=response.headers.get("Last-Modified"),
            final_url=str(url),
        )

    def _too_large(self, what: str) -> PermanentItemError:
        return PermanentItemError(Reason.TOO_LARGE, f"{what}; {self._max_bytes} bytes are allowed")


async def _head(response: aiohttp.ClientResponse, size: int) -> bytes:
    """Return the body's first ``size`` bytes, or all of it."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        body += chunk
        if len(body) >= size:
            break
    return bytes(body[:size])


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == 200:
        return
    detail = f"HTTP {status}"
    asked = parse_retry_after(response.headers.get("Retry-After"))
    if (reason := PERMANENT.get(status)) is not None:
        raise PermanentItemError(reason, detail)
    if (reason := TRANSIENT.get(status)) is not None:
        raise TransientItemError(reason, detail, retry_after_s=asked)
    if status >= 500:
        raise TransientItemError(Reason.SERVER_ERROR, detail, retry_after_s=asked)
    raise PermanentItemError(Reason.HTTP_ERROR, detail)


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110 §10.2.3).

    Bounded to 0 … `RETRY_AFTER_MAX_S`; None without a header or for one that makes no sense.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), RETRY_AFTER_MAX_S)
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    seconds = (at - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_S) if math.isfinite(seconds) else None


def _text(error: BaseException) -> str:
    # On one line: some of aiohttp's messages quote what they received on lines of their own.
    return " ".join(str(error).split()) or type(error).__name__
