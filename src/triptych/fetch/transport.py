"""HTTP transports: the only module that opens HTTP sessions, each of them guarded.

A direct session connects to addresses that the guard permits. A proxied session connects to the
proxy and to nothing else, and passes it a name only if all its addresses are permitted: the proxy
resolves the name again, and Triptych cannot choose which address it uses.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp import hdrs
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
"""For callers without their own deadline."""
CONNECT_S = 15.0
"""For TCP and TLS: a host that takes longer does not answer, and holds a connection meanwhile."""
KEEPALIVE_S = 30.0
"""Keep-alive: long enough for requests seconds apart, shorter than most servers allow."""
HEADER_LINE_MAX_BYTES = 8190
HOSTS_MAX = 10_000
"""Hosts whose names in texts are kept."""
HEADERS_MAX = 200
"""The most headers of a response; a response with more is rejected."""


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

    Call it while an event loop runs. No cookies are kept, so nothing that one server sends reaches
    another. A refusal by the guard is an `aiohttp.ClientError`; `refusal` finds the reason in it.

    Args:
        guard: says what may be reached.
        limit: the most concurrent connections.
        proxy: for every request; its own address need not be permitted.
        headers: sent with every request.
        timeout: of every request.
        resolver: resolves names; the system's by default.
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
    """Checks every request before it is sent. Names for a proxy are resolved here first."""

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
        host = url.raw_host or ""
        if host.endswith("."):
            # yarl leaves the dot out of the header; browsers send it (RFC 9112 §3.2).
            port = url.explicit_port
            request.headers[hdrs.HOST] = host if port is None else f"{host}:{port}"
        if self._names is not None:
            await self._look_up(self._names, host, url.port or 0)
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
    """Resolves the proxy's name and no other; opens sockets to the proxy and to nothing else."""

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


@lru_cache(HOSTS_MAX)
def _hosts(origin: URL, proxy: URL | None) -> tuple[str, ...]:
    own = str(origin)
    return (own,) if proxy is None else (f"proxy {proxy.origin()}", own)


@dataclass(frozen=True, slots=True)
class HttpTransport:
    """The session, proxy and profile of one request."""

    url: URL
    session: aiohttp.ClientSession
    proxy: URL | None = field(repr=False)
    profile: Profile | None
    user_agent: str

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the request, including keys."""
        extra = self.profile.headers if self.profile else {}
        return {"User-Agent": self.user_agent, **extra}

    @property
    def hosts(self) -> Sequence[str]:
        """The hosts that the request needs: the URL's own, after the proxy, if any."""
        return _hosts(self.url.origin(), self.proxy)

    def leads_away(self, target: URL) -> bool:
        """Return whether a redirect to ``target`` leaves the origins that may receive the keys."""
        if target.origin() == self.url.origin():
            return False
        return not (self.profile and self.profile.to and self.profile.covers(target))


class TransportPool:
    """Sessions for requests on behalf of sources: a direct one, and one for each proxy.

    Safe to share between tasks of one event loop.

    Args:
        guard: says what may be reached.
        limit: concurrent connections of each session.
        user_agent: the default, unless a profile has another.
        proxy: the default, unless a profile has another.
        profiles: request profiles of the sources.
        resolver: resolves names; the system's by default.
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
        """Return the transport of a request to ``url`` on behalf of ``source``."""
        profile = self._profiles.choose(source, url, led_away=led_away)
        proxy = (profile.proxy if profile else None) or self._proxy
        agent = (profile.user_agent if profile else None) or self._agent
        return HttpTransport(url, self._session(proxy), proxy, profile, agent)

    def chain(self, source: str | None) -> TransportChain:
        """Return the transports for one URL and its redirects."""
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
                # Callers' deadlines cover more than one request.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            )
        return session


class TransportChain:
    """The transports of a chain of redirects.

    Once a redirect has left the origins that may receive the keys, no keys are sent any more.
    """

    def __init__(self, transports: TransportPool, source: str | None) -> None:
        self._transports = transports
        self._source = source
        self._last: HttpTransport | None = None
        self._led_away = False

    def next(self, url: URL) -> HttpTransport:
        """Return the transport of the next request, which is to ``url``."""
        if self._last is not None:
            self._led_away = self._led_away or self._last.leads_away(url)
        self._last = self._transports.way(self._source, url, led_away=self._led_away)
        return self._last
