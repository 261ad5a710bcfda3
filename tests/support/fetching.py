"""A fetcher to be tried on servers that a test runs on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from triptych.fetch.body_budget import BodyBudget
from triptych.fetch.fetcher import Fetcher
from triptych.fetch.guard import AddressGuard, Network
from triptych.fetch.host_throttle import HostThrottle
from triptych.fetch.request_profiles import Profiles
from triptych.fetch.transport import TransportPool

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
AT_ONCE = 4
AGENT = "triptych-test"


class Names(AbstractResolver):
    """A resolver with answers of its own, a new one with each question; none when used up."""

    def __init__(self, *answers: str | Sequence[str]) -> None:
        self.answers = [[one] if isinstance(one, str) else list(one) for one in answers]
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        self.asked.append(host)
        await asyncio.sleep(0)
        if not self.answers:
            raise OSError("no such name")
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
        deadline_s=deadline_s,
        max_redirects=max_redirects,
        robots=robots,
        opt_outs=opt_outs,
    )
    try:
        yield fetcher
    finally:
        await transports.close()
