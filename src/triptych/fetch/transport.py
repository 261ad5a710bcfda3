"""Ways out: the one room that opens HTTP sessions, each of them guarded.

Directly, a session connects to the addresses that the guard permits. Through a proxy it connects
to the proxy and to nothing else, and a name is handed to the proxy only if all its addresses are
permitted: the proxy looks it up again, and which of them it takes is not ours to choose.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from triptych.errors import PermanentItemError
from triptych.fetch.guard import AddressGuard, AddressRefused, GuardedResolver
from triptych.fetch.request_profiles import Profile, Profiles
from triptych.fetch.resolver import SystemResolver
from triptych.model import Reason

DNS_CACHE_S = 60
DNS_CACHE_HOSTS = 10_000
ANSWER = aiohttp.ClientTimeout(total=300.0, sock_connect=30.0)
"""For callers without a deadline of their own."""
KEEPALIVE_S = 30.0
"""Long enough for a host whose turns are seconds apart, shorter than what most servers allow."""
HEADER_LINE_MAX_BYTES = 8190
HEADERS_MAX = 200
"""Headers of an answer; one with more is no answer."""


def open_session(
    guard: AddressGuard,
    *,
    limit: int,
    proxy: URL | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: aiohttp.ClientTimeout = ANSWER,
    resolver: AbstractResolver | None = None,
) -> aiohttp.ClientSession:
    """Return a session whose requests, redirects included, go to permitted addresses only.

    To be opened where an event loop runs. No cookie is kept: nothing that one server says reaches
    another. What the guard refuses is an `aiohttp.ClientError`; `refusal` finds the reason in it.

    Args:
        guard: says what may be reached.
        limit: connections at a time.
        proxy: that every request goes through; its own address need not be permitted.
        headers: of every request.
        timeout: of every request.
        resolver: that is asked for names; the system's if none is given.
    """
    names = resolver or SystemResolver()
    if proxy is None:
        connector = _connector(GuardedResolver(guard, names), _guarded_socket(guard), limit)
        check = _Check(guard, None)
    else:
        known = _ProxyNames(proxy, names)
        connector = _connector(known, known.make_socket, limit)
        check = _Check(guard, GuardedResolver(guard, names, whole=True))
    return aiohttp.ClientSession(
        connector=connector,
        middlewares=(check,),
        proxy=proxy,
        headers=headers,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        max_line_size=HEADER_LINE_MAX_BYTES,
        max_field_size=HEADER_LINE_MAX_BYTES,
        max_headers=HEADERS_MAX,
    )


def _connector(resolver: AbstractResolver, make_socket: Any, limit: int) -> aiohttp.TCPConnector:
    return aiohttp.TCPConnector(
        resolver=resolver,
        socket_factory=make_socket,
        limit=limit,
        ttl_dns_cache=DNS_CACHE_S,
        dns_cache_max_size=DNS_CACHE_HOSTS,
        keepalive_timeout=KEEPALIVE_S,
    )


def _guarded_socket(guard: AddressGuard) -> Any:
    def make_socket(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _name, address = info
        guard.check(address[0], address[1])
        return socket.socket(family=family, type=kind, proto=protocol)

    return make_socket


class _Check:
    """Sees every request before it is sent. What a proxy is to resolve is resolved here first."""

    def __init__(self, guard: AddressGuard, names: GuardedResolver | None) -> None:
        self._guard = guard
        self._names = names
        self._good: OrderedDict[tuple[str, int], float] = OrderedDict()

    async def __call__(
        self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        url = request.url
        try:
            self._guard.check_url(url)
        except PermanentItemError as error:
            if error.reason is Reason.INVALID_URL:
                raise aiohttp.InvalidURL(url, error.detail) from error
            raise AddressRefused(error.detail) from error
        if self._names is not None:
            await self._look_up(self._names, url.raw_host or "", url.port or 0)
        return await send(request)

    async def _look_up(self, names: GuardedResolver, host: str, port: int) -> None:
        now = asyncio.get_running_loop().time()
        if self._good.get((host, port), 0.0) > now or _is_address(host):
            return
        await names.resolve(host, port)
        self._good[host, port] = now + DNS_CACHE_S
        self._good.move_to_end((host, port))
        while len(self._good) > DNS_CACHE_HOSTS:
            self._good.popitem(last=False)


class _ProxyNames(AbstractResolver):
    """Knows the proxy's name and no other; makes sockets to the proxy and to nothing else."""

    def __init__(self, proxy: URL, resolver: AbstractResolver) -> None:
        self._host = proxy.raw_host or ""
        self._port = proxy.port or 0
        self._resolver = resolver
        self._known = {self._host} if _is_address(self._host) else set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if host != self._host:
            raise AddressRefused(f"{host} is not the proxy")
        answers = await self._resolver.resolve(host, port, family)
        self._known = {answer["host"] for answer in answers}
        return answers

    def make_socket(self, info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _name, address = info
        if address[0] not in self._known or address[1] != self._port:
            raise AddressRefused(f"{address[0]}:{address[1]} is not the proxy")
        return socket.socket(family=family, type=kind, proto=protocol)

    async def close(self) -> None:
        await self._resolver.close()


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class HttpTransport:
    """How one request goes out."""

    url: URL
    session: aiohttp.ClientSession
    proxy: URL | None = field(repr=False)
    profile: Profile | None
    user_agent: str

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the request, keys included."""
        extra = self.profile.headers if self.profile else {}
        return {"User-Agent": self.user_agent, **extra}

    def leads_away(self, target: URL) -> bool:
        """Tell whether a redirect to ``target`` leaves where the same keys may be sent."""
        if target.origin() == self.url.origin():
            return False
        return not (self.profile and self.profile.to and self.profile.covers(target))


class TransportPool:
    """Sessions for requests that sources lead to: one directly, and one for each proxy.

    Safe to share between tasks of one event loop.

    Args:
        guard: says what may be reached.
        limit: connections at a time of each session.
        user_agent: unless a profile has another.
        proxy: that requests go through unless a profile has another.
        profiles: of sources.
        resolver: that is asked for names; the system's if none is given.
    """

    def __init__(
        self,
        guard: AddressGuard,
        *,
        limit: int,
        user_agent: str,
        proxy: URL | None = None,
        profiles: Profiles | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.guard = guard
        self._limit = limit
        self._agent = user_agent
        self._proxy = proxy
        self._profiles = profiles or Profiles()
        self._resolver = resolver
        self._sessions: dict[URL | None, aiohttp.ClientSession] = {}

    def way(self, source: str | None, url: URL, *, led_away: bool = False) -> HttpTransport:
        """Return how a request to ``url`` goes out that ``source`` led to."""
        profile = self._profiles.choose(source, url, led_away=led_away)
        proxy = (profile.proxy if profile else None) or self._proxy
        agent = (profile.user_agent if profile else None) or self._agent
        return HttpTransport(url, self._session(proxy), proxy, profile, agent)

    def chain(self, source: str | None) -> TransportChain:
        """Return how the requests go out that follow one URL's redirects."""
        return TransportChain(self, source)

    async def close(self) -> None:
        """Close all sessions. Safe to repeat."""
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()

    def _session(self, proxy: URL | None) -> aiohttp.ClientSession:
        session = self._sessions.get(proxy)
        if session is None:
            session = self._sessions[proxy] = open_session(
                self.guard,
                limit=self._limit,
                proxy=proxy,
                resolver=self._resolver,
                # Callers have deadlines that cover more than one request.
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return session


class TransportChain:
    """How requests go out one after another, each to where the one before it was redirected.

    Once a redirect has led away from where the same keys may be sent, none are sent any more.
    """

    def __init__(self, transports: TransportPool, source: str | None) -> None:
        self._transports = transports
        self._source = source
        self._last: HttpTransport | None = None
        self._led_away = False

    def next(self, url: URL) -> HttpTransport:
        """Return how the next request goes out, which is to ``url``."""
        if self._last is not None:
            self._led_away = self._led_away or self._last.leads_away(url)
        self._last = self._transports.way(self._source, url, led_away=self._led_away)
        return self._last
