"""Fetching one URL: guarded, bounded in time and bytes; every failure has a reason."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import MappingProxyType

import aiohttp
from yarl import URL

from triptych.errors import HostBusy, HostDown, PermanentItemError, TransientItemError
from triptych.fetch.body_budget import BodyBudget, BodyShare
from triptych.fetch.content_coding import decoded_chunks
from triptych.fetch.down_hosts import Contact, DownHosts, HostRequest
from triptych.fetch.guard import refusal
from triptych.fetch.host_throttle import WAIT_MAX_S, HostSlot, HostThrottle
from triptych.fetch.redirects import REDIRECTS, follow_redirects
from triptych.fetch.resolver import NameNotResolved, missing_name
from triptych.fetch.robots import ROBOTS_MAX_BYTES, Robots, RobotsAnswer, check_opt_out
from triptych.fetch.transport import HttpTransport, TransportPool
from triptych.fetch.web_url import parse_web_url
from triptych.model import Reason

DETAIL_MAX_CHARS = 300
"""The most characters of an error's text, which may quote what a server sent."""
PARSED_MAX = 1024
"""Parsed URLs that are kept: each is parsed for its slot and for its request."""
RETRY_AFTER_MAX_S = 3600.0
CONTENT_RANGE = re.compile(r"(?i)bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
ACCEPT = "image/*,*/*;q=0.5"
ACCEPTED = 202
"""The server has no answer yet: it is to be asked again (RFC 9110 §15.3.3)."""
LACKING = frozenset({ACCEPTED, 204, 205})
"""Successes that have no body, or not the one that was asked for."""
PARTIAL = 206
NOT_MODIFIED = 304
THROTTLING = frozenset({429, 503})
PROXY_FAILURES = frozenset({502, 503, 504})
"""What a proxy answers in place of a tunnel to a host that does not answer."""
SPEAKING = (aiohttp.ClientSSLError, aiohttp.ClientPayloadError, aiohttp.ClientResponseError)
"""Failures of a host that has answered, if not well."""
UNSENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
)
"""Failures for want of a connection to the host."""
ROBOTS_REDIRECTS_MAX = 5

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
    {
        407: Reason.CONNECTION_FAILED,
        408: Reason.TIMEOUT,
        425: Reason.TIMEOUT,
        429: Reason.THROTTLED,
    }
)


@lru_cache(PARSED_MAX)
def _parsed(url: str) -> URL:
    try:
        return parse_web_url(url)
    except ValueError as error:
        raise PermanentItemError(Reason.INVALID_URL, _text(error)) from error


@dataclass(frozen=True, slots=True)
class Validators:
    """The validators of a body that is already stored (RFC 9110 §8.8)."""

    etag: str | None
    last_modified: str | None

    def headers(self) -> dict[str, str]:
        """Return the headers that request the body only if it has changed."""
        named = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Fetched:
    """The response of a URL."""

    body: bytes
    """The complete body, decompressed."""
    media_type: str
    """The media type that the server declares; never trusted."""
    etag: str | None
    last_modified: str | None
    final_url: str
    """The URL after all redirects."""
    share: BodyShare = field(repr=False)
    """The body's share of the worker's memory; release it together with the body."""


@dataclass(slots=True)
class _Trail:
    """The newest request of a chain of redirects."""

    way: HttpTransport | None = None
    request: HostRequest | None = None

    def at(self, way: HttpTransport, request: HostRequest) -> HostRequest:
        self.way, self.request = way, request
        return request


class Fetcher:
    """Fetches URLs over the pools of ``transports``. Safe to share between tasks of one event loop.

    ``deadline_s`` covers everything: name resolution, connections, redirects, headers, body, and
    waiting for a share of ``budget``, whose cap is the largest body.
    """

    def __init__(
        self,
        transports: TransportPool,
        budget: BodyBudget,
        hosts: HostThrottle,
        down_hosts: DownHosts,
        *,
        deadline_s: float,
        max_redirects: int,
        robots: bool,
        opt_outs: bool,
    ) -> None:
        self._transports = transports
        self._budget = budget
        self._hosts = hosts
        self._down_hosts = down_hosts
        self._deadline_s = deadline_s
        self._max_redirects = max_redirects
        self._opt_outs = opt_outs
        self._robots = Robots(self._robots_txt) if robots else None

    async def close(self) -> None:
        """Cancel what is under way by itself. Safe to repeat."""
        if self._robots is not None:
            await self._robots.close()

    async def fetch(
        self, url: str, known: Validators | None = None, *, source: str | None = None
    ) -> Fetched | None:
        """Fetch ``url``, following redirects; None if it still matches ``known``.

        Args:
            url: the URL to fetch.
            known: the validators of the stored body.
            source: the source that listed the URL; selects the request profile.

        Raises:
            PermanentItemError: a retry would give the same result.
            TransientItemError: a retry may help; with the server's Retry-After, if any.
            Postponed: a host on the way does not answer, is busy, or is paused.
        """
        trail = _Trail()
        try:
            async with asyncio.timeout(self._deadline_s):
                headers = known.headers() if known else {}
                return await self._follow(_parsed(url), headers, source, trail)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failure(error, trail) from error

    def _failure(self, error: Exception, trail: _Trail) -> Exception:
        """Return the reason of a failure, or the outage that it shows."""
        if (missing := _missing(error, trail)) is not None:
            return PermanentItemError(Reason.NAME_NOT_RESOLVED, str(missing))
        failure = self._reason(error)
        if isinstance(failure, PermanentItemError) and failure.reason is not Reason.HTTP_ERROR:
            return failure
        return self._outage(error, failure.detail, trail) or failure

    def _reason(self, error: Exception) -> PermanentItemError | TransientItemError:
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            # Before its base ValueError: the URL is valid, and certificates get renewed.
            return TransientItemError(Reason.CONNECTION_FAILED, _text(error))
        if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
            detail = f"not done within {self._deadline_s:g} s"
            return TransientItemError(Reason.TIMEOUT, detail)
        if isinstance(error, aiohttp.ClientPayloadError):
            return TransientItemError(Reason.TRUNCATED, _text(error))
        if isinstance(error, aiohttp.ClientHttpProxyError):
            detail = f"the proxy answers with HTTP {error.status}"
            return TransientItemError(Reason.CONNECTION_FAILED, detail)
        if isinstance(error, aiohttp.InvalidURL | ValueError):
            return PermanentItemError(Reason.INVALID_URL, _text(error))
        if isinstance(error, aiohttp.ClientResponseError):
            # The server does not speak HTTP, or sends too many headers.
            return PermanentItemError(Reason.HTTP_ERROR, _text(error))
        if (refused := refusal(error)) is not None:
            return PermanentItemError(Reason.ADDRESS_REFUSED, str(refused))
        return TransientItemError(Reason.CONNECTION_FAILED, _text(missing_name(error) or error))

    def _outage(self, error: Exception, why: str, trail: _Trail) -> HostDown | None:
        """Return the outage that a request's failure shows; None if it is the URL's own."""
        way, request = trail.way, trail.request
        if way is None or request is None:
            return None
        if isinstance(error, aiohttp.ClientHttpProxyError):
            request.proxy_answered()
            if error.status not in PROXY_FAILURES:
                return None
        elif isinstance(error, SPEAKING):
            request.answered()
            return None
        # In a session with a proxy, the connector resolves no other name.
        nowhere = isinstance(
            error, aiohttp.ClientProxyConnectionError | aiohttp.ClientConnectorDNSError
        )
        at_proxy = way.proxy is not None and nowhere
        down = request.failed(why, sent=not _unsent(error), at_proxy=at_proxy)
        if down is not None and self._robots is not None:
            self._robots.forget(way, all_behind_proxy=at_proxy)
        return down

    async def _follow(
        self, url: URL, headers: Mapping[str, str], source: str | None, trail: _Trail
    ) -> Fetched | None:
        guard, chain = self._transports.guard, self._transports.chain(source)

        async def ask(target: URL) -> aiohttp.ClientResponse:
            self._hosts.check(target.raw_host or "")
            way = chain.next(target)
            await self._heed_robots(way)
            request = trail.at(way, self._down_hosts.request(way.hosts))
            sent = {"Accept": ACCEPT, **headers, **way.headers}
            response = await way.session.get(way.url, headers=sent, allow_redirects=False)
            request.answered()
            return response

        guard.check_url(url)
        answer = await follow_redirects(url, ask, guard=guard, redirects_max=self._max_redirects)
        async with answer.response:
            self._note(answer.url.raw_host or "", answer.response)
            if self._opt_outs:
                check_opt_out(answer.response.headers)
            unchanged = answer.response.status == NOT_MODIFIED and headers
            return None if unchanged else await self._read(answer.url, answer.response)

    async def _heed_robots(self, way: HttpTransport) -> None:
        if self._robots is None:
            return
        try:
            delay = await self._robots.check(way, wait_s=WAIT_MAX_S)
        except TimeoutError as error:
            detail = f"{way.url.raw_host} has not given its robots.txt yet"
            raise HostBusy(detail, retry_after_s=WAIT_MAX_S) from error
        if delay is not None:
            self._hosts.pace(way.url.raw_host or "", delay)

    async def _robots_txt(self, way: HttpTransport) -> RobotsAnswer:
        """Fetch a host's robots.txt, following redirects as for any other URL, without keys.

        Raises:
            HostDown: the host, or one that it redirects to, does not answer.
        """
        trail = _Trail()
        url = way.url.origin() / "robots.txt"
        guard = self._transports.guard

        async def ask(target: URL) -> aiohttp.ClientResponse:
            self._hosts.check(target.raw_host or "")
            hop = replace(way, url=target)
            request = trail.at(hop, self._down_hosts.request(hop.hosts))
            agent = {"User-Agent": way.user_agent}
            response = await way.session.get(target, headers=agent, allow_redirects=False)
            request.answered()
            return response

        with await self._down_hosts.contact(way.hosts):
            try:
                async with asyncio.timeout(self._deadline_s):
                    answer = await follow_redirects(
                        url, ask, guard=guard, redirects_max=ROBOTS_REDIRECTS_MAX
                    )
                    async with answer.response:
                        self._note(answer.url.raw_host or "", answer.response)
                        return await robots_answer(answer.response)
            except PermanentItemError as error:
                if error.reason is Reason.TOO_MANY_REDIRECTS:
                    # Too many redirects count as an absent robots.txt (RFC 9309 §2.3.1.2).
                    return RobotsAnswer(404, "", None)
                raise TransientItemError(Reason.ROBOTS_UNREACHABLE, error.detail) from error
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise self._robots_failure(error, way, trail) from error

    def _robots_failure(self, error: Exception, way: HttpTransport, trail: _Trail) -> Exception:
        refused, missing = refusal(error), _missing(error, trail)
        asked = trail.way.url if trail.way else way.url
        if (refused or missing) and asked.origin() == way.url.origin():
            # Not specific to the file: nothing on this host can be fetched.
            reason = Reason.ADDRESS_REFUSED if refused else Reason.NAME_NOT_RESOLVED
            return PermanentItemError(reason, str(refused or missing))
        silent = refused is None and missing is None and not isinstance(error, ValueError)
        outage = self._outage(error, _text(error), trail) if silent else None
        return outage or TransientItemError(Reason.ROBOTS_UNREACHABLE, _text(error))

    def _note(self, host: str, response: aiohttp.ClientResponse) -> None:
        """Pause a host that asks for it: only the host slows down, not the worker."""
        if response.status in THROTTLING:
            asked = parse_retry_after(response.headers.get("Retry-After"))
            self._hosts.throttled(host, asked)
        else:
            self._hosts.answered(host)

    async def slot(
        self,
        url: str,
        *,
        source: str | None = None,
        crowded: Callable[[], bool] = lambda: False,
    ) -> HostSlot:
        """Wait for a slot at the host of ``url``; hold it during the fetch.

        The host's robots.txt is checked first, since it sets the pace of the slots. ``crowded`` is
        that of `HostThrottle.slot`.

        Raises:
            HostBusy: the wait would be long.
            HostDown: the host does not answer, or did not a moment ago.
            HostPaused: an operator has paused the host.
            PermanentItemError, TransientItemError: as `fetch`, for failures that are known before
                the request.
        """
        place = _parsed(url)
        self._transports.guard.check_url(place)
        way = self._transports.way(source, place)
        self._hosts.check(place.raw_host or "")
        self._down_hosts.check(way.hosts)
        contact = await self._contact(way)
        try:
            slot = await self._hosts.slot(place.raw_host or "", crowded=crowded)
        except BaseException:
            contact.end()
            raise
        slot.contact = contact
        return slot

    async def _contact(self, way: HttpTransport) -> Contact:
        """Find out whether a host answers: by its robots.txt, or by the URL if that is ignored."""
        if self._robots is not None:
            await self._heed_robots(way)
            return Contact()
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                return await self._down_hosts.contact(way.hosts)
        except TimeoutError as error:
            raise HostBusy(
                f"{way.url.raw_host} has not answered yet", retry_after_s=WAIT_MAX_S
            ) from error

    async def _read(self, url: URL, response: aiohttp.ClientResponse) -> Fetched:
        _check_status(response)
        cap = self._budget.cap
        declared = response.content_length
        if declared is not None and declared > cap:
            raise _too_large(f"{declared} bytes declared", cap)
        encoded = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoded != "identity" or "Transfer-Encoding" in response.headers:
            declared = None  # It is not the length of the body.
        share = self._budget.share()
        try:
            await share.declare(declared)
            # The connection delivers what is declared, or fails.
            body = await (_body(response, share, cap) if declared is None else response.read())
            if not body:
                raise PermanentItemError(
                    Reason.NOT_AN_IMAGE, "an empty body: the server sent no bytes"
                )
            share.settle(len(body))
        except BaseException:
            share.release()
            raise
        return Fetched(
            body=body,
            media_type=response.content_type,
            etag=response.headers.get("ETag"),
            last_modified=response.headers.get("Last-Modified"),
            final_url=str(url),
            share=share,
        )


async def _body(response: aiohttp.ClientResponse, share: BodyShare, cap: int) -> bytes:
    body = bytearray()
    async for chunk in decoded_chunks(response):
        if len(body) + len(chunk) > cap:
            raise _too_large("the body goes on", cap)
        await share.hold(len(body) + len(chunk))
        body += chunk
    return bytes(body)


def _too_large(what: str, cap: int) -> PermanentItemError:
    return PermanentItemError(Reason.TOO_LARGE, f"{what}; {cap} bytes are allowed")


async def robots_answer(response: aiohttp.ClientResponse) -> RobotsAnswer:
    """Read a response for a host's robots.txt; of a long file, the first `ROBOTS_MAX_BYTES`."""
    asked = parse_retry_after(response.headers.get("Retry-After"))
    body = bytearray()
    # The body of an error response is not a robots.txt.
    if 200 <= response.status < 300:
        async for chunk in decoded_chunks(response):
            body += chunk
            if len(body) >= ROBOTS_MAX_BYTES:
                break
    text = bytes(body[:ROBOTS_MAX_BYTES]).decode("utf-8-sig", "replace")
    return RobotsAnswer(response.status, text, asked)


def _check_status(response: aiohttp.ClientResponse) -> None:
    """Raise unless a response has a whole body: 2xx, but those that say that they have none."""
    status = response.status
    if status == PARTIAL:
        _check_range(response)
    if 200 <= status < 300 and status not in LACKING:
        return
    detail = f"HTTP {status}" + (" without a Location" if status in REDIRECTS else "")
    asked = parse_retry_after(response.headers.get("Retry-After"))
    if (reason := PERMANENT.get(status)) is not None:
        raise PermanentItemError(reason, detail)
    if (reason := TRANSIENT.get(status)) is not None:
        raise TransientItemError(reason, detail, retry_after_s=asked)
    if status >= 500 or status == ACCEPTED:
        raise TransientItemError(Reason.SERVER_ERROR, detail, retry_after_s=asked)
    raise PermanentItemError(Reason.HTTP_ERROR, detail)


def _check_range(response: aiohttp.ClientResponse) -> None:
    """Raise unless a 206, for which nobody asked, has everything (RFC 9110 §14.4)."""
    shown = response.headers.get("Content-Range", "")
    found = CONTENT_RANGE.fullmatch(shown.strip())
    if found is None or int(found[1]) != 0 or int(found[2]) + 1 != int(found[3]):
        asked = parse_retry_after(response.headers.get("Retry-After"))
        detail = f"HTTP 206 with {shown[:DETAIL_MAX_CHARS] or 'no Content-Range'}"
        raise TransientItemError(Reason.TRUNCATED, detail, retry_after_s=asked)


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110 §10.2.3).

    Bounded to 0 … `RETRY_AFTER_MAX_S`; None for a missing or malformed header.
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


def _missing(error: Exception, trail: _Trail) -> NameNotResolved | None:
    """Return what says that the host's name does not exist, if it is no passing state."""
    missing = missing_name(error)
    if missing is None or trail.way is None or trail.request is None:
        return missing
    # In a session with a proxy, the connector resolves the proxy's name only.
    of_proxy = trail.way.proxy is not None and isinstance(error, aiohttp.ClientConnectorError)
    return None if of_proxy or trail.request.may_come_back() else missing


def _unsent(error: Exception) -> bool:
    """Return whether there was no connection to send the request over."""
    # A name that cannot be resolved before it is passed to a proxy is a plain OSError.
    unresolved = not isinstance(error, aiohttp.ClientError | TimeoutError)
    return unresolved or isinstance(error, UNSENT)


def _text(error: BaseException) -> str:
    # On one line: some of aiohttp's messages quote the received bytes on further lines.
    return " ".join(str(error).split())[:DETAIL_MAX_CHARS] or type(error).__name__
