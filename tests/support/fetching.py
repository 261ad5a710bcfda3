"""A fetcher to be tried on servers that a test runs on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from triptych.fetch.body_budget import BodyBudget
from triptych.fetch.down_hosts import DownHosts
from triptych.fetch.fetcher import Fetcher
from triptych.fetch.guard import AddressGuard, Network
from triptych.fetch.host_throttle import HostThrottle
from triptych.fetch.request_profiles import Profiles
from triptych.fetch.resolver import NameNotResolved
from triptych.fetch.transport import TransportPool

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
AT_ONCE = 4
AGENT = "triptych-test"
BODY = b"image" * 100
MAX_BYTES = 100_000
PATIENCE_S = 30.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Names(AbstractResolver):
    """A resolver with answers of its own, a new one with each question; no answer when used up."""

    def __init__(self, *answers: str | Sequence[str]) -> None:
        self.answers = [[one] if isinstance(one, str) else list(one) for one in answers]
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        self.asked.append(host)
        await asyncio.sleep(0)
        if not self.answers:
            raise OSError("no answer for now")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=10 if ":" in address else 2,
                proto=0,
                flags=0,
            )
            for address in self.answers.pop(0)
        ]

    async def close(self) -> None:
        return None


class NoNames(Names):
    """A resolver that has its answers, and then says that there is no such name."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        if not self.answers:
            self.asked.append(host)
            raise NameNotResolved(f"{host} does not exist")
        return await super().resolve(host, port, family)


@asynccontextmanager
async def opened_fetcher(
    *,
    allow: Sequence[Network] = LOOPBACK,
    ports: Sequence[range] = (),
    deadline_s: float = 30.0,
    max_bytes: int = 1_000_000,
    memory_bytes: int | None = None,
    max_redirects: int = 3,
    at_once: int = AT_ONCE,
    robots: bool = False,
    opt_outs: bool = True,
    resolver: AbstractResolver | None = None,
    proxy: URL | None = None,
    profiles: Profiles | None = None,
) -> AsyncIterator[Fetcher]:
    transports = TransportPool(
        AddressGuard(allow, ports),
        limit=at_once,
        user_agent=AGENT,
        proxy=proxy,
        profiles=profiles,
        resolver=resolver,
    )
    fetcher = Fetcher(
        transports,
        BodyBudget(memory_bytes or 3 * at_once * max_bytes, cap=max_bytes, bodies=at_once),
        HostThrottle(concurrency=100, rate_per_s=None),
        DownHosts(contacts=at_once, probes=at_once),
        deadline_s=deadline_s,
        max_redirects=max_redirects,
        robots=robots,
        opt_outs=opt_outs,
    )
    try:
        yield fetcher
    finally:
        await fetcher.close()
        await transports.close()


@asynccontextmanager
async def fetching(
    handler: Handler,
    *,
    allow: bool = True,
    deadline_s: float = PATIENCE_S,
    resolver: AbstractResolver | None = None,
) -> AsyncIterator[tuple[Fetcher, str]]:
    """A server on loopback that answers by this handler; yields a fetcher and the server's URL."""
    app = web.Application()
    app.router.add_get("/{name:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with opened_fetcher(
            allow=LOOPBACK if allow else (),
            deadline_s=deadline_s,
            max_bytes=MAX_BYTES,
            resolver=resolver,
        ) as fetcher:
            yield fetcher, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def good(_request: web.Request) -> web.Response:
    headers = {"ETag": '"e"', "Last-Modified": "Tue, 24 Nov 2026 10:00:00 GMT"}
    return web.Response(body=BODY, content_type="image/png", headers=headers)
