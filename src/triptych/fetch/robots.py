"""Crawler etiquette: robots.txt and opt-out headers are respected.

robots.txt follows RFC 9309. The ``X-Robots-Tag`` directives are those of the search engines and,
for ``noai`` and ``noimageai``, of DeviantArt and img2dataset. ``tdm-reservation`` is the W3C
community group's TDM Reservation Protocol.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from multidict import CIMultiDictProxy
from protego import Protego
from yarl import URL

from triptych.errors import HostDown, PermanentItemError, TransientItemError
from triptych.fetch.transport import HttpTransport
from triptych.model import Reason

AGENT = "triptych"
"""The product token that robots.txt and X-Robots-Tag may address."""
ROBOTS_MAX_BYTES = 512 * 1024
"""RFC 9309 §2.5 requires at least 500 KiB; the rest is not read."""
ROBOTS_LONG_CHARS = 64 * 1024
"""Files from this size on are parsed and matched in a thread."""
ROBOTS_TTL_S = 3600.0
ROBOTS_FAILURE_TTL_S = 60.0
ROBOTS_HOSTS_MAX = 10_000

VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
"""Directives with a value after a colon; any other name before a colon is a user agent."""
DIRECTIVES: Mapping[str, Reason] = MappingProxyType(
    {
        "noai": Reason.NO_AI,
        "noimageai": Reason.NO_AI,
        "noindex": Reason.NO_INDEX,
        "noimageindex": Reason.NO_INDEX,
        "none": Reason.NO_INDEX,
    }
)


def check_opt_out(headers: CIMultiDictProxy[str]) -> None:
    """Raise if a response's headers opt out of its use.

    Raises:
        PermanentItemError: with the reason of the first such directive.
    """
    for value in headers.getall("X-Robots-Tag", []):
        for directive in directives(value):
            if (reason := DIRECTIVES.get(directive)) is not None:
                raise PermanentItemError(reason, f"X-Robots-Tag: {directive}")
    if headers.get("tdm-reservation", "").strip() == "1":
        raise PermanentItemError(Reason.TDM_RESERVED, "tdm-reservation: 1")


def directives(value: str) -> Iterable[str]:
    """Yield the directives of one header that apply to all agents or to Triptych.

    ``otherbot: noindex, nofollow`` addresses another agent, up to the next name.
    """
    ours = True
    for part in value.lower().split(","):
        name, colon, rest = part.partition(":")
        addressed = bool(colon) and name.strip() not in VALUED
        if addressed:
            ours = name.strip() in {AGENT, "*"}
        if ours:
            yield (rest if addressed else part).strip()


@dataclass(frozen=True, slots=True)
class RobotsAnswer:
    """A server's response for ``/robots.txt``."""

    status: int
    text: str
    retry_after_s: float | None


@dataclass(slots=True)
class _Rules:
    expires: float
    rules: Protego | None
    """None when the file was unavailable: then nothing may be fetched for a while."""
    why: str = ""
    """The response of an unreachable file."""
    down: HostDown | None = None
    """The outage that the request for it met."""
    long: bool = False
    empty: bool = False
    """The file has no rules, or is absent: most hosts', which need no look at each URL."""


class Robots:
    """The robots.txt of every recently used host, each requested once an hour.

    ``get`` fetches the robots.txt of a transport's host; a `TransientItemError` counts as an
    unreachable server. A host may differ by proxy, so the files are cached per proxy.

    While a host is down, each look at its file is a new request: it finds out whether the host is
    back, and depends on no URL.
    """

    def __init__(self, get: Callable[[HttpTransport], Awaitable[RobotsAnswer]]) -> None:
        self._get = get
        self._known: OrderedDict[tuple[URL, URL | None], asyncio.Task[_Rules]] = OrderedDict()

    async def check(self, way: HttpTransport, *, wait_s: float) -> float | None:
        """Return the Crawl-delay of the host's robots.txt in seconds, if it has one.

        Raises:
            TimeoutError: the file has not arrived, or the URL is not matched, within ``wait_s``.
                The request for the file goes on by itself.
            PermanentItemError: it disallows the URL, or the guard refuses the host.
            TransientItemError: it is unreachable, which disallows everything for now
                (RFC 9309 §2.3.1.4).
            HostDown: the host does not answer.
        """
        until = asyncio.get_running_loop().time() + wait_s
        rules = await self._rules(way, until)
        host = way.url.raw_host
        if (down := rules.down) is not None:
            raise HostDown(down.host, down.why, retry_after_s=down.retry_after_s, tried=down.tried)
        if rules.rules is None:
            wait = max(rules.expires - asyncio.get_running_loop().time(), 0.0)
            raise TransientItemError(
                Reason.ROBOTS_UNREACHABLE,
                f"{host} does not give its robots.txt ({rules.why})",
                retry_after_s=wait,
            )
        if rules.empty:
            return None
        allowed, url = rules.rules.can_fetch, str(way.url)
        if rules.long:
            # Half a megabyte of wildcards takes long enough to delay all other hosts.
            async with asyncio.timeout_at(until):
                may = await asyncio.to_thread(allowed, url, AGENT)
        else:
            may = allowed(url, AGENT)
        if not may:
            raise PermanentItemError(Reason.ROBOTS_DISALLOWED, f"robots.txt of {host}")
        delay = rules.rules.crawl_delay(AGENT)
        return None if delay is None else float(delay)

    def forget(self, way: HttpTransport, *, all_behind_proxy: bool) -> None:
        """Request a host's file again before its next URL; or those of all behind its proxy."""
        if all_behind_proxy:
            for place in [place for place in self._known if place[1] == way.proxy]:
                del self._known[place]
        else:
            self._known.pop((way.url.origin(), way.proxy), None)

    async def close(self) -> None:
        """Cancel the requests that are under way."""
        tasks = [task for task in self._known.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _rules(self, way: HttpTransport, until: float) -> _Rules:
        now = asyncio.get_running_loop().time()
        place = (way.url.origin(), way.proxy)
        task = self._known.get(place)
        if task is None or _worn_out(task, now):
            # Its own task: the first caller may be cancelled while the others still wait.
            task = self._known[place] = asyncio.create_task(self._ask(way))
        self._known.move_to_end(place)
        while len(self._known) > ROBOTS_HOSTS_MAX:
            self._known.popitem(last=False)
        if task.done():
            return task.result()
        async with asyncio.timeout_at(until):
            return await asyncio.shield(task)

    async def _ask(self, way: HttpTransport) -> _Rules:
        loop = asyncio.get_running_loop()
        try:
            answer = await self._get(way)
        except HostDown as error:
            return _Rules(loop.time(), None, down=error)
        except TransientItemError as error:
            return _Rules(loop.time() + ROBOTS_FAILURE_TTL_S, None, error.detail)
        if answer.status >= 500 or answer.status == 429:
            wait = max(ROBOTS_FAILURE_TTL_S, answer.retry_after_s or 0.0)
            return _Rules(loop.time() + wait, None, f"HTTP {answer.status}")
        # Any other status means that there are no rules (RFC 9309 §2.3.1.3).
        text = answer.text if 200 <= answer.status < 300 else ""
        long = len(text) > ROBOTS_LONG_CHARS
        rules = await asyncio.to_thread(Protego.parse, text) if long else Protego.parse(text)
        return _Rules(loop.time() + ROBOTS_TTL_S, rules, long=long, empty=not text.strip())


def _worn_out(task: asyncio.Task[_Rules], now: float) -> bool:
    if not task.done():
        return False
    return task.cancelled() or task.exception() is not None or task.result().expires <= now
