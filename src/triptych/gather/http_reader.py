"""Requests to sources: guarded, bounded, with the source's profile, retried while that may help."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from triptych.errors import PermanentItemError, SourceRefused, SourceUnavailable
from triptych.fetch.fetcher import parse_retry_after
from triptych.fetch.guard import REFUSED_REMEDY, refusal
from triptych.fetch.redirects import follow_redirects
from triptych.fetch.transport import CONNECT_S, TransportPool
from triptych.fetch.web_url import parse_web_url
from triptych.model import Reason
from triptych.runtime.retry import backoff
from triptych.shown_url import shown_url

TRIES = 5
MIDWAY_TRIES = 8
"""In the middle of a list: what is lost with it is more than a quarter of a minute."""
BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 8.0
WAIT_MAX_S = 20.0
"""For a longer Retry-After the message goes back to the queue instead."""
SILENCE_S = 60.0
"""A connection that is silent for this long is dead."""
REDIRECTS_MAX = 5
PASSING = frozenset({408, 425, 429})
"""Statuses below 500 that ask for a retry."""


READ_MAX_BYTES = 32 * 1024 * 1024
READ_DEADLINE_S = 60.0
CHUNK_BYTES = 64 * 1024
T = TypeVar("T")


def _anywhere(_: URL) -> bool:
    return True


def _nothing(_: aiohttp.ClientResponse) -> None:
    pass


NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class TryAgain(Exception):
    """This request failed; a retry may help."""

    def __init__(
        self, message: str, retry_after_s: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.status = status
        """What the source answered; None if it did not."""


class DoubtfulAnswer(SourceRefused):
    """The source's answer is refused, but may be another next time."""

    def __init__(
        self, message: str, *, remedy: str, at_once: bool, answered: int | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.at_once = at_once
        """Whether the first answer of a list is refused at once: it is probably no mishap."""
        self.answered = answered
        """The HTTP status, if that is what is refused."""


class LeadsAway(SourceRefused):
    """The source redirects to where its reader does not follow."""

    def __init__(self, target: URL) -> None:
        super().__init__(f"It redirects to another place, {shown_url(str(target))}.")
        self.target = target


@dataclass(frozen=True, slots=True)
class Received:
    """The body of a good answer, and what is known of it."""

    body: bytes
    url: URL
    """Where it came from, after redirects."""
    headers: CIMultiDictProxy[str]


@dataclass(frozen=True, slots=True)
class HttpReader:
    """How requests are sent to a source: over which transports, and with which profile."""

    transports: TransportPool
    source: str
    """The source as the run names it: it selects the profile."""

    async def read(
        self,
        url: str | URL,
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        deadline_s: float = READ_DEADLINE_S,
        max_bytes: int = READ_MAX_BYTES,
    ) -> bytes:
        """Return the body at ``url``, tried again with growing pauses while that may help.

        ``deadline_s`` is that of one try. ``headers`` go to the URL's own origin only.

        Raises:
            SourceUnavailable: it did not answer in spite of retries.
            SourceRefused: it answers otherwise than with 200, is at an address that is not
                reached, is no http(s) URL, or has more than ``max_bytes`` bytes.
        """
        return await self.read_page(
            url, _as_it_is, headers=headers, deadline_s=deadline_s, max_bytes=max_bytes
        )

    async def read_page(
        self,
        url: str | URL,
        parse: Callable[[bytes], Awaitable[T]],
        *,
        midway: bool = False,
        headers: Mapping[str, str] = NO_HEADERS,
        deadline_s: float = READ_DEADLINE_S,
        max_bytes: int = READ_MAX_BYTES,
    ) -> T:
        """Return what ``parse`` reads from the body at ``url``; `read` otherwise.

        ``parse`` raises `DoubtfulAnswer` for a body that cannot be right. A body of megabytes is
        best parsed in another process, for nothing else is done here meanwhile.

        ``midway`` means that the source has answered for this list before: then every answer that
        it may take back is tried again, a 404 for example, before it is refused.
        """

        async def parse_body(received: Received) -> T:
            return await parse(received.body)

        return await self.read_document(
            url,
            parse_body,
            midway=midway,
            headers=headers,
            deadline_s=deadline_s,
            max_bytes=max_bytes,
        )

    async def read_document(
        self,
        url: str | URL,
        parse: Callable[[Received], Awaitable[T]],
        *,
        midway: bool = False,
        headers: Mapping[str, str] = NO_HEADERS,
        deadline_s: float = READ_DEADLINE_S,
        max_bytes: int = READ_MAX_BYTES,
        follow: Callable[[URL], bool] = _anywhere,
        check: Callable[[aiohttp.ClientResponse], None] = _nothing,
    ) -> T:
        """Return what ``parse`` reads from an answer; `read_page` otherwise.

        ``follow`` says whether a redirect to a URL is followed; ``check`` raises `SourceRefused`
        for an answer whose body is not to be read.

        Raises:
            LeadsAway: it redirects to where ``follow`` says not to go.
        """
        try:
            target = parse_web_url(url) if isinstance(url, str) else url
        except ValueError as error:
            raise SourceRefused(f"{shown_url(str(url))!r} is not a URL ({error}).") from error
        attempt = 0
        while True:
            attempt += 1
            try:
                async with request(
                    self, target, headers=headers, deadline_s=deadline_s, follow=follow
                ) as response:
                    check(response)
                    body = await _body(response, max_bytes)
                return await parse(Received(body, response.url, response.headers))
            except TryAgain as error:
                await pause(attempt, error)
            except DoubtfulAnswer as refusal:
                await _pause_in_doubt(attempt, refusal, midway=midway)


@asynccontextmanager
async def request(
    asking: HttpReader,
    url: URL,
    *,
    headers: Mapping[str, str],
    deadline_s: float,
    follow: Callable[[URL], bool] = _anywhere,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Yield a good answer of ``url``; redirects are followed, without ``headers`` to other hosts.

    ``deadline_s`` covers the reading of the body too. The block itself must not
    raise `OSError` or `ValueError`: these are taken as failures of the source.

    Raises:
        TryAgain: a timeout, a broken connection, 429 or 5xx.
        SourceRefused: any other answer, or an address that is not public.
    """
    try:
        async with (
            asyncio.timeout(deadline_s),
            _answer(asking, url, headers, follow) as response,
        ):
            yield response
    except TimeoutError as error:
        raise TryAgain(f"no answer within {deadline_s:g} s") from error
    except aiohttp.ClientConnectorCertificateError as error:
        # Before ValueError, of which it is a subclass. Certificates get renewed.
        raise TryAgain(_text(error)) from error
    except (aiohttp.InvalidURL, ValueError) as error:
        raise SourceRefused(
            f"The source's address, or one that it redirects to, is not an http(s) URL "
            f"({_text(error)})."
        ) from error
    except PermanentItemError as error:
        if error.reason is Reason.TOO_MANY_REDIRECTS:
            raise SourceRefused(f"The source answers with {error.detail}.") from error
        raise SourceRefused(
            f"The source redirects to an address that is refused ({error.detail}).",
            remedy=REFUSED_REMEDY,
        ) from error
    except (aiohttp.ClientError, OSError) as error:
        if (refused := refusal(error)) is not None:
            raise SourceRefused(
                f"The source is at an address that is refused ({refused}).",
                remedy=REFUSED_REMEDY,
            ) from error
        raise TryAgain(_text(error)) from error


@asynccontextmanager
async def _answer(
    asking: HttpReader, url: URL, headers: Mapping[str, str], follow: Callable[[URL], bool]
) -> AsyncIterator[aiohttp.ClientResponse]:
    origin = url.origin()
    # The session's own limit on the whole would cut long downloads; the caller has a deadline.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
    chain = asking.transports.chain(asking.source)

    def ask(target: URL) -> Awaitable[aiohttp.ClientResponse]:
        if target != url and not follow(target):
            raise LeadsAway(target)
        way = chain.next(target)
        own = headers if target.origin() == origin else {}
        sent = {**own, **way.headers}
        return way.session.get(target, headers=sent, allow_redirects=False, timeout=timeout)

    # A source's own URL may have a password in it; the session passes the rest to the guard.
    answer = await follow_redirects(
        url, ask, guard=asking.transports.guard, redirects_max=REDIRECTS_MAX
    )
    async with answer.response:
        _check_status(answer.response)
        yield answer.response


async def _as_it_is(body: bytes) -> bytes:
    return body


async def _body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise SourceRefused(
                f"A page of the source is larger than {max_bytes} bytes.",
                remedy="Return fewer items per page.",
            )
    return bytes(body)


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == 200:
        return
    if status in PASSING or status >= 500:
        asked = parse_retry_after(response.headers.get("Retry-After"))
        raise TryAgain(f"HTTP {status}", asked, status)
    raise DoubtfulAnswer(
        f"The source answers with HTTP {status}.",
        remedy="Check its URL, the brand's name and TRIPTYCH_SOURCE_TOKEN, which is sent where "
        "TRIPTYCH_SOURCE_TOKEN_FOR says.",
        at_once=True,
        answered=status,
    )


async def pause(attempt: int, error: TryAgain) -> None:
    """Wait before the next attempt: what the source asks for plus full jitter; or give up.

    Raises:
        SourceUnavailable: the attempts are used up, or the source asks for a long wait.
    """
    asked = error.retry_after_s
    if attempt >= TRIES or (asked is not None and asked > WAIT_MAX_S):
        raise SourceUnavailable(
            f"The source does not answer ({error}).", retry_after_s=asked
        ) from error
    jitter = backoff(attempt, base_s=BACKOFF_BASE_S, cap_s=BACKOFF_CAP_S)
    await asyncio.sleep((asked or 0.0) + jitter)


async def _pause_in_doubt(attempt: int, refusal: DoubtfulAnswer, *, midway: bool) -> None:
    """Wait before the next attempt; or raise the refusal."""
    if refusal.at_once and not midway:
        raise refusal
    if attempt >= (MIDWAY_TRIES if midway else TRIES):
        where = " in the middle of its list" if midway else ""
        raise SourceRefused(
            f"{refusal.message.rstrip('.')}, {attempt} times{where}.", remedy=refusal.remedy
        ) from refusal
    await asyncio.sleep(backoff(attempt, base_s=BACKOFF_BASE_S, cap_s=BACKOFF_CAP_S))


def _text(error: BaseException) -> str:
    # On one line: some of aiohttp's messages quote what they received on lines of their own.
    return " ".join(str(error).split()) or type(error).__name__
