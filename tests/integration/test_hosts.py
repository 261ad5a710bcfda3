"""Each host at its own pace, and none at another's cost."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web

from tests.faults.world import picture
from triptych.errors import HostBusy
from triptych.fetch.hosts import COOL_MAX_S, HOSTS_MAX, WAIT_MAX_S, Hosts
from triptych.local import open_local
from triptych.model import RunState
from triptych.settings import Settings

PATIENCE_S = 120.0


async def test_no_more_requests_at_a_time_than_allowed() -> None:
    hosts = Hosts(concurrency=2, rate_per_s=None)
    first, second = await hosts.turn("a"), await hosts.turn("a")
    third = asyncio.create_task(hosts.turn("a"))
    await asyncio.sleep(0)
    assert not third.done()
    with await hosts.turn("b"):
        pass
    first.release()
    first.release()
    (await third).release()
    second.release()


async def test_a_host_that_asks_for_rest_gets_it_and_only_that_host() -> None:
    hosts = Hosts(concurrency=2, rate_per_s=None)
    hosts.throttled("a", 60)
    with pytest.raises(HostBusy) as busy:
        await hosts.turn("a")
    assert 59 < (busy.value.retry_after_s or 0) <= 60
    with await hosts.turn("b"):
        pass


async def test_rest_grows_with_each_throttle_in_a_row() -> None:
    hosts = Hosts(concurrency=2, rate_per_s=None)
    now = asyncio.get_running_loop().time()
    rests = []
    for _ in range(12):
        hosts.throttled("a", None)
        rests.append(hosts._host("a").cool_until - now)
    assert [round(rest) for rest in rests[:4]] == [1, 2, 4, 8]
    assert round(rests[-1]) == COOL_MAX_S
    hosts.answered("a")
    assert hosts._host("a").throttles == 0


async def test_a_pace_puts_off_those_who_would_wait_long() -> None:
    hosts = Hosts(concurrency=50, rate_per_s=None)
    hosts.pace("a", 1.0)
    tasks = [asyncio.create_task(hosts.turn("a")) for _ in range(20)]
    await asyncio.sleep(0.01)
    put_off = [task.exception() for task in tasks if task.done() and task.exception()]
    assert len(put_off) >= 20 - WAIT_MAX_S - 2
    assert all(isinstance(error, HostBusy) for error in put_off)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_slow_host_puts_off_those_who_would_wait_long() -> None:
    hosts = Hosts(concurrency=1, rate_per_s=None)
    turn = await hosts.turn("a")
    turn.since -= 10.0
    turn.release()
    held = await hosts.turn("a")
    waiting = asyncio.create_task(hosts.turn("a"))
    await asyncio.sleep(0)
    with pytest.raises(HostBusy) as busy:
        await hosts.turn("a")
    assert busy.value.retry_after_s == pytest.approx(10, rel=0.1)
    held.release()
    (await waiting).release()


async def test_g8_hosts_are_forgotten() -> None:
    hosts = Hosts(concurrency=1, rate_per_s=None)
    for number in range(HOSTS_MAX + 100):
        hosts.answered(str(number))
    assert len(hosts._hosts) == HOSTS_MAX


class Web:
    """Four hosts on loopback; one of them says in its robots.txt how fast it may be asked."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)
        self.throttle_once: dict[str, int] = {}
        self.slow = ""

    async def robots(self, request: web.Request) -> web.Response:
        slow = (request.url.host or "") == self.slow
        return web.Response(text="User-agent: *\nCrawl-delay: 1\n" if slow else "")

    async def get(self, request: web.Request) -> web.Response:
        host = request.url.host or ""
        self.times[host].append(time.monotonic())
        if host in self.throttle_once:
            seconds = self.throttle_once.pop(host)
            raise web.HTTPTooManyRequests(headers={"Retry-After": str(seconds)})
        number = int(request.match_info["number"])
        return web.Response(body=picture(number % 20), content_type="image/png")


@asynccontextmanager
async def serving(site: Web) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/robots.txt", site.robots)
    app.router.add_get("/{number}.png", site.get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    for host in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
        await web.TCPSite(runner, host, port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


async def test_one_slow_host_of_four_slows_none_of_the_others(tmp_path: Path) -> None:
    site = Web()
    site.slow = "127.0.0.1"
    async with serving(site) as port:
        path = tmp_path / "urls.csv"
        # The slow host's URLs come first: all of them are met before any of the others'.
        urls = [f"http://127.0.0.1:{port}/{n}.png" for n in range(8)]
        for host in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
            urls += [f"http://{host}:{port}/{n}.png" for n in range(200)]
        path.write_text("\n".join(["url", *urls]))
        settings = Settings.load(data=tmp_path / "data", embedder="none", fetch_allow="127.0.0.0/8")
        async with open_local(settings) as local, asyncio.timeout(PATIENCE_S):
            run = await local.wait((await local.submit("nike", source=f"manifest:{path}")).id)
    assert (run.state, run.done) == (RunState.COMMITTED, 608)
    slow = site.times["127.0.0.1"]
    assert len(slow) == 8
    # Seven pauses of a second; a busy machine may shift single arrivals.
    assert slow[-1] - slow[0] > 6.5
    assert min(later - sooner for sooner, later in pairwise(slow)) > 0.5
    others = max(site.times[host][-1] for host in site.times if host != "127.0.0.1")
    assert others < slow[-1], "the other three were done before the slow one"


async def test_retry_after_is_kept_by_every_url_of_the_host(tmp_path: Path) -> None:
    site = Web()
    site.throttle_once = {"127.0.0.1": 3}
    async with serving(site) as port:
        path = tmp_path / "urls.csv"
        urls = [f"http://127.0.0.1:{port}/{n}.png" for n in range(40)]
        path.write_text("\n".join(["url", *urls]))
        settings = Settings.load(
            data=tmp_path / "data", embedder="none", fetch_allow="127.0.0.0/8", host_concurrency=1
        )
        async with open_local(settings) as local, asyncio.timeout(PATIENCE_S):
            run = await local.wait((await local.submit("nike", source=f"manifest:{path}")).id)
    assert (run.state, run.done) == (RunState.COMMITTED, 40)
    first, *rest = site.times["127.0.0.1"]
    assert min(rest) - first >= 2.9
    assert len(rest) == 40, "no other URL was tried while the host rested"
