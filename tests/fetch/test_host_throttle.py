"""Each host at its own pace, and none at another's cost."""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.local_pipeline import acquiring_at, ended
from tests.support.picture_server import picture
from tests.support.waiting import until_true
from triptych.errors import HostBusy, TransientItemError
from triptych.fetch.host_throttle import COOL_MAX_S, HOSTS_MAX, START, WAIT_MAX_S, HostThrottle
from triptych.model import Reason, RunState
from triptych.wiring.local import Local

pytestmark = pytest.mark.integration

PATIENCE_S = 120.0


async def test_no_more_requests_at_a_time_than_allowed() -> None:
    hosts = HostThrottle(concurrency=2, rate_per_s=None)
    first, second = await hosts.slot("a"), await hosts.slot("a")
    third = asyncio.create_task(hosts.slot("a"))
    await asyncio.sleep(0)
    assert not third.done()
    with await hosts.slot("b"):
        pass
    first.release()
    first.release()
    (await third).release()
    second.release()


async def test_a_slot_that_becomes_free_after_a_wait_was_given_up_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("triptych.fetch.host_throttle.WAIT_MAX_S", 0.05)
    hosts = HostThrottle(concurrency=1, rate_per_s=None)
    held = await hosts.slot("a")

    def crowded() -> bool:
        held.release()  # Between two waits nobody is in the queue.
        return True

    async with asyncio.timeout(PATIENCE_S / 10):
        (await hosts.slot("a", crowded=crowded)).release()


def free_turns(hosts: HostThrottle, name: str) -> int:
    host = hosts._host(name)
    return host.allowed - host.taken


async def broken(hosts: HostThrottle, reason: Reason = Reason.TIMEOUT) -> None:
    with pytest.raises(TransientItemError), await hosts.slot("a"):
        raise TransientItemError(reason)


async def test_slots_grow_with_success_and_halve_with_failure() -> None:
    hosts = HostThrottle(concurrency=8, rate_per_s=None)
    assert free_turns(hosts, "a") == START
    for _ in range(10):
        with await hosts.slot("a"):
            pass
    assert free_turns(hosts, "a") == 8
    for expected in (4, 2, 1, 1):
        await broken(hosts)
        assert free_turns(hosts, "a") == expected
    await broken(hosts, Reason.SERVER_ERROR)
    assert free_turns(hosts, "a") == 2, "an answer, and as good as any for this"


async def test_turns_that_are_out_are_taken_away_when_they_come_back() -> None:
    hosts = HostThrottle(concurrency=4, rate_per_s=None)
    held = [await hosts.slot("a") for _ in range(3)]
    await broken(hosts)
    waiting = asyncio.create_task(hosts.slot("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done(), "four might have been out before; three are, and two may be"
    held[0].release()
    (await waiting).release()
    for slot in held:
        slot.release()
    assert free_turns(hosts, "a") == hosts._host("a").allowed


async def test_a_host_that_asks_for_rest_gets_it_and_only_that_host() -> None:
    hosts = HostThrottle(concurrency=2, rate_per_s=None)
    hosts.throttled("a", 60)
    with pytest.raises(HostBusy) as busy:
        await hosts.slot("a")
    assert 59 < busy.value.retry_after_s <= 60
    with await hosts.slot("b"):
        pass


async def test_rest_grows_with_each_throttle_in_a_row() -> None:
    hosts = HostThrottle(concurrency=2, rate_per_s=None)
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
    hosts = HostThrottle(concurrency=50, rate_per_s=None)
    hosts.pace("a", 1.0)
    tasks = [asyncio.create_task(hosts.slot("a")) for _ in range(20)]
    await until_true(lambda: sum(task.done() for task in tasks) >= 20 - WAIT_MAX_S - 1)
    put_off = [task.exception() for task in tasks if task.done() and task.exception()]
    assert len(put_off) >= 20 - WAIT_MAX_S - 2
    assert all(isinstance(error, HostBusy) for error in put_off)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_slow_host_puts_off_those_who_would_wait_long() -> None:
    hosts = HostThrottle(concurrency=1, rate_per_s=None)
    slot = await hosts.slot("a")
    slot.since -= 10.0
    slot.release()
    held = await hosts.slot("a")
    waiting = asyncio.create_task(hosts.slot("a"))
    await asyncio.sleep(0)
    with pytest.raises(HostBusy) as busy:
        await hosts.slot("a")
    assert busy.value.retry_after_s == pytest.approx(10, rel=0.1)
    held.release()
    (await waiting).release()


async def test_g8_hosts_are_forgotten() -> None:
    hosts = HostThrottle(concurrency=1, rate_per_s=None)
    for number in range(HOSTS_MAX + 100):
        hosts.answered(str(number))
    assert len(hosts._hosts) == HOSTS_MAX


class Web:
    """Four hosts on loopback; one of them says in its robots.txt how fast it may be asked."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)
        self.connections: set[object] = set()
        self.throttle_once: dict[str, tuple[int, int]] = {}
        """Status and Retry-After of a host's first answer."""
        self.slow = ""

    async def robots(self, request: web.Request) -> web.Response:
        slow = (request.url.host or "") == self.slow
        return web.Response(text="User-agent: *\nCrawl-delay: 1\n" if slow else "")

    async def get(self, request: web.Request) -> web.Response:
        host = request.url.host or ""
        self.times[host].append(time.monotonic())
        self.connections.add(request.transport)
        if host in self.throttle_once:
            status, seconds = self.throttle_once.pop(host)
            return web.Response(status=status, headers={"Retry-After": str(seconds)})
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
    for host in OTHERS:
        await web.TCPSite(runner, host, port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


SLOW = "127.0.0.1"
OTHERS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
OF_EACH = 200


def manifest(folder: Path, port: int, *, slow: int, others: int) -> str:
    """Write a brand's URLs; the slow host's come first, so all of them are met before the rest."""
    path = folder / "urls.csv"
    urls = [f"http://{SLOW}:{port}/{n}.png" for n in range(slow)]
    for host in OTHERS:
        urls += [f"http://{host}:{port}/{n}.png" for n in range(others)]
    path.write_text("\n".join(["url", *urls]))
    return f"manifest:{path}"


@asynccontextmanager
async def opened(folder: Path, **settings: object) -> AsyncIterator[Local]:
    async with (
        acquiring_at(folder, decode=False, **settings) as local,
        asyncio.timeout(PATIENCE_S),
    ):
        yield local


@pytest.mark.prove
async def test_one_slow_host_of_four_slows_none_of_the_others(tmp_path: Path) -> None:
    """The others' URLs without the slow host and then with it, by the same worker.

    How many URLs the slow host has follows from how fast this machine is: three times as many
    seconds' worth as the others took alone. They are done before it is.
    """
    site = Web()
    site.slow = SLOW
    async with serving(site) as port, opened(tmp_path) as local:
        source = manifest(tmp_path, port, slow=0, others=OF_EACH)
        await ended(local, (await local.submit("alone", source=source)).id)
        alone = last(site, OTHERS) - first(site, OTHERS)
        site.times.clear()
        slow = 4 + math.ceil(3 * alone)
        source = manifest(tmp_path, port, slow=slow, others=OF_EACH)
        run = await ended(local, (await local.submit("beside", source=source)).id)
    assert (run.state, run.done) == (RunState.COMMITTED, slow + len(OTHERS) * OF_EACH)
    assert len(site.times[SLOW]) == slow
    assert [len(site.times[host]) for host in OTHERS] == [OF_EACH] * len(OTHERS)
    # A pause of a second between each two; on a busy machine the first may arrive late.
    assert last(site, [SLOW]) - first(site, [SLOW]) > (slow - 1) - 1.5
    beside = last(site, OTHERS) - first(site, OTHERS)
    print(f"600 URLs of three hosts: {alone:.1f} s alone, {beside:.1f} s beside a slow one")
    met = sum(at < last(site, OTHERS) for at in site.times[SLOW])
    assert met < slow, "the other three were done before the slow one"


def first(site: Web, hosts: Sequence[str]) -> float:
    return min(site.times[host][0] for host in hosts)


def last(site: Web, hosts: Sequence[str]) -> float:
    return max(site.times[host][-1] for host in hosts)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_host_that_throttles_slows_itself_and_not_the_worker(
    tmp_path: Path, status: int
) -> None:
    """It asks for an hour: all others' URLs get done, and none of its own is asked for again."""
    site = Web()
    site.throttle_once = {SLOW: (status, 3600)}
    async with serving(site) as port, opened(tmp_path, host_concurrency=1) as local:
        source = manifest(tmp_path, port, slow=100, others=20)
        run = await local.submit("nike", source=source)
        async for seen in local.watch(run.id):
            if seen.done == 3 * 20:
                break
        await local.registry.cancel(run.id)
    assert seen.failed == 0
    assert len(site.times[SLOW]) == 1
    assert [len(site.times[host]) for host in OTHERS] == [20] * 3


async def test_hosts_that_never_answer_leave_room_for_one_that_does(tmp_path: Path) -> None:
    """Twelve of them, each with more URLs than the worker has places, met first."""
    released, site = asyncio.Event(), Web()
    silent = [f"127.0.2.{n}" for n in range(1, 13)]

    async def hang(_request: web.Request) -> web.Response:
        await released.wait()
        return web.Response(status=500)

    app = web.Application()
    app.router.add_get("/{number}.png", hang)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, silent[0], 0).start()
    port = runner.addresses[0][1]
    for host in silent[1:]:
        await web.TCPSite(runner, host, port).start()
    try:
        async with (
            serving(site) as good,
            opened(tmp_path, fetch_deadline_s=PATIENCE_S * 10, robots=False) as local,
        ):
            path = tmp_path / "urls.csv"
            urls = [f"http://{host}:{port}/{n}.png" for n in range(12) for host in silent]
            urls += [f"http://{OTHERS[0]}:{good}/{n}.png" for n in range(50)]
            path.write_text("\n".join(["url", *urls]))
            run = await local.submit("nike", source=f"manifest:{path}")
            async for seen in local.watch(run.id):
                if seen.done == 50:
                    break
            await local.registry.cancel(run.id)
            released.set()
    finally:
        released.set()
        await runner.cleanup()
    assert seen.failed == 0


@asynccontextmanager
async def measured_lag() -> AsyncIterator[list[float]]:
    """Tell meanwhile how late this machine lets a sleeper wake."""
    lags = [0.0]

    async def measure() -> None:
        while True:
            due = time.monotonic() + 0.05
            await asyncio.sleep(0.05)
            lags.append(time.monotonic() - due)

    task = asyncio.create_task(measure())
    try:
        yield lags
    finally:
        task.cancel()


@pytest.mark.prove
@pytest.mark.parametrize(("status", "asked"), [(429, 2), (429, 6), (503, 6)])
async def test_retry_after_is_kept_by_every_url_of_the_host(
    tmp_path: Path, status: int, asked: int
) -> None:
    """To within a second, whether it is waited for in the worker or in the queue."""
    site = Web()
    site.throttle_once = {SLOW: (status, asked)}
    async with serving(site) as port, opened(tmp_path, host_concurrency=1) as local:
        source = manifest(tmp_path, port, slow=40, others=0)
        async with measured_lag() as lags:
            run = await ended(local, (await local.submit("nike", source=source)).id)
    assert (run.state, run.done) == (RunState.COMMITTED, 40)
    throttled, *rest = site.times[SLOW]
    late = min(rest) - throttled - asked
    print(f"HTTP {status}, Retry-After {asked}: {late:.2f} s late; sleepers {max(lags):.2f} s")
    assert len(rest) == 40, "no other URL was tried while the host rested"
    assert -0.1 < late < 1.0 + 4 * max(lags)


async def test_connections_are_kept_for_the_next_url(tmp_path: Path) -> None:
    site, urls = Web(), OF_EACH // 4
    async with serving(site) as port, opened(tmp_path, host_concurrency=4) as local:
        source = manifest(tmp_path, port, slow=0, others=urls)
        run = await ended(local, (await local.submit("nike", source=source)).id)
    assert run.done == len(OTHERS) * urls
    assert len(site.connections) <= len(OTHERS) * 4
