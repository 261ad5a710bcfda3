"""Hosts that are down are waited for, on real servers: no URL is lost, and no other host slowed."""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.abc import ResolveResult

from tests.support.local_pipeline import acquiring_at, ended, local_at
from tests.support.proof_size import by_size
from tests.support.restarting_site import RestartingSite, restarting_site, write_list
from tests.support.waiting import until, until_true
from tests.support.worker_processes import TO_COMMIT, Workers, environment, open_workers_harness
from triptych.fetch.resolver import NameNotResolved
from triptych.model import Run, RunState
from triptych.wiring.local import Local

pytestmark = pytest.mark.integration

fetching_at = partial(acquiring_at, decode=False)
"""What is fetched is what matters here, not what becomes of it."""
URLS = 40
LONG_S = 300.0
PATIENCE_S = 120.0
QUICK_S = 1.0
"""A patience for tests of what happens when it is over."""
AWAY_S = 2.5
WAITED_FOR, DEAD = 50, 300
"""Hosts, and so many of them in a list: six times as many as a run waits for."""


def a_dead_host(host: str = "127.0.0.1") -> str:
    """Return the address of a port at which nothing listens."""
    with socket.create_server((host, 0)) as server:
        return f"http://{host}:{server.getsockname()[1]}"


def urls_of(site: RestartingSite, count: int = URLS) -> list[str]:
    return [site.url(number) for number in range(count)]


async def attempts(local: Local, run_id: UUID) -> Counter[int]:
    rows = await local.stores.databases[0].fetch(
        "select attempts from items where run_id = $1", run_id
    )
    return Counter(row["attempts"] for row in rows)


async def events(local: Local, run_id: UUID) -> list[tuple[str, str]]:
    found = await local.stores.runs.timeline(run_id, after=0, limit=10_000)
    return [(event.kind, event.data["host"]) for event in found if event.kind.startswith("host_")]


def finished(run: Run, done: int) -> bool:
    return (run.state, run.done, run.failed) == (RunState.COMMITTED, done, 0)


@pytest.mark.parametrize("robots", [True, False])
async def test_a_host_that_is_started_late_loses_nothing(tmp_path: Path, robots: bool) -> None:
    async with restarting_site() as site, fetching_at(tmp_path, robots=robots) as local:
        await site.stop()
        source = write_list(tmp_path, urls_of(site))
        opened = await local.submit("nike", source=source)
        await until(lambda: waiting(local, opened.id), lambda count: count == URLS)
        await site.start()
        run = await ended(local, opened.id)
        assert await attempts(local, run.id) == {0: URLS}
        assert not await local.stores.databases[0].fetch("select from host_outages")
    assert finished(run, URLS)


async def waiting(local: Local, run_id: UUID) -> int:
    """Count the items that wait for a host."""
    (row,) = await local.stores.databases[0].fetch(
        "select count(*) as n from items where run_id = $1 and waits_for is not null"
        " and state = 'pending'",
        run_id,
    )
    return int(row["n"])


async def test_a_host_that_is_restarted_midway_loses_nothing(tmp_path: Path) -> None:
    served = 0

    def answer(_request: web.Request) -> None:
        nonlocal served
        served += 1

    def reached(number: int) -> bool:
        return served >= number

    async with restarting_site() as site, fetching_at(tmp_path, host_concurrency=2) as local:
        site.answer = answer
        opened = await local.submit("nike", source=write_list(tmp_path, urls_of(site)))
        for number in (8, 20):
            await until_true(partial(reached, number))
            await site.stop()
            await until(lambda: waiting(local, opened.id), lambda count: count > 10)
            await site.start()
        run = await ended(local, opened.id)
        counts = await attempts(local, run.id)
    assert finished(run, URLS)
    assert max(counts) <= 2, "what was under way when it stopped, twice at most"
    assert counts[0] >= URLS - 4


async def test_a_host_that_never_comes_back_fails_its_urls_while_others_finish(
    tmp_path: Path,
) -> None:
    dead = a_dead_host()
    async with (
        restarting_site("127.0.0.2") as site,
        fetching_at(tmp_path, host_patience_s=QUICK_S, tolerated_failures=0.6) as local,
    ):
        mixed = [url for n in range(URLS) for url in (f"{dead}/{n}.png", site.url(n))]
        run = await ended(
            local, (await local.submit("nike", source=write_list(tmp_path, mixed))).id
        )
        failures = await local.stores.runs.failed_items(run.id, "host_down", after=-1, limit=1)
        shown = await events(local, run.id)
        assert await attempts(local, run.id) == {0: 2 * URLS}
    assert (run.state, run.done, run.reasons) == (RunState.COMMITTED, URLS, {"host_down": URLS})
    (example,) = failures.rows
    assert example.detail.startswith(f"{dead} has not answered for ")
    assert shown == [("host_down", dead)]


@pytest.mark.parametrize("robots", [True, False])
async def test_names_that_do_not_exist_end_at_once_and_others_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, robots: bool
) -> None:
    """A patience of minutes is not waited for, and nothing is tried twice."""
    asked: list[str] = []

    def look_up(host: str, _port: int, _family: int) -> list[ResolveResult]:
        asked.append(host)
        raise NameNotResolved(f"{host} does not exist")

    monkeypatch.setattr("triptych.fetch.resolver._look_up", look_up)
    async with (
        restarting_site() as site,
        fetching_at(
            tmp_path, robots=robots, host_patience_s=LONG_S, tolerated_failures=0.6
        ) as local,
    ):
        mixed = [
            url
            for n in range(URLS)
            for url in (f"http://shop-{n % 3}.example/{n}.png", site.url(n))
        ]
        opened = await local.submit("nike", source=write_list(tmp_path, mixed))
        run = await ended(local, opened.id)
        assert await attempts(local, run.id) == {0: 2 * URLS}
        assert await events(local, run.id) == []
    assert (run.state, run.done) == (RunState.COMMITTED, URLS)
    assert run.reasons == {"name_not_resolved": URLS}
    assert set(asked) == {"shop-0.example", "shop-1.example", "shop-2.example"}


async def test_a_second_window_does_not_wait_again(tmp_path: Path) -> None:
    """Ten windows of a dead host's URLs: the run waits for its patience once."""
    dead = a_dead_host()
    patience_s = 2.5
    async with fetching_at(
        tmp_path, host_patience_s=patience_s, dispatch_window=20, tolerated_failures=1.0
    ) as local:
        source = write_list(tmp_path, [f"{dead}/{n}.png" for n in range(200)])
        run = await ended(local, (await local.submit("nike", source=source)).id)
    assert (run.state, run.reasons) == (RunState.COMMITTED, {"host_down": 200})
    assert run.ended_at is not None
    took_s = (run.ended_at - run.created_at).total_seconds()
    assert took_s < 8 * patience_s, "ten times the patience, if each window waited"


async def test_a_restarted_worker_goes_on_waiting_where_the_last_one_was(tmp_path: Path) -> None:
    """The patience is the run's: a worker that knows nothing of the host does not begin anew."""
    dead = a_dead_host()
    source = write_list(tmp_path, [f"{dead}/{n}.png" for n in range(5)])
    settings = {"host_patience_s": LONG_S, "tolerated_failures": 1.0}
    async with fetching_at(tmp_path, **settings) as local:
        opened = await local.submit("nike", source=source)
        await until(lambda: waiting(local, opened.id), lambda count: count == 5)
        await local.stores.databases[0].fetch("update host_outages set waited_s = $1", LONG_S)
    async with fetching_at(tmp_path, **settings) as local:
        run = await ended(local, opened.id)
    assert run.reasons == {"host_down": 5}


async def test_the_outage_is_in_the_timeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.runs.postgres.postgres_outages.SHOWN_AFTER_S", 0.5)
    async with restarting_site() as site, fetching_at(tmp_path) as local:
        await site.stop()
        opened = await local.submit("nike", source=write_list(tmp_path, urls_of(site)))
        host = site.url(0).rpartition("/")[0]
        await until(lambda: events(local, opened.id), lambda seen: seen == [("host_down", host)])
        await site.start()
        run = await ended(local, opened.id)
        assert await events(local, run.id) == [("host_down", host), ("host_back", host)]
    assert finished(run, URLS)


async def test_a_url_that_is_never_answered_uses_up_its_attempts_at_a_host_that_answers(
    tmp_path: Path,
) -> None:
    """Attempts count answers for that URL: its host is alive, whatever it does to it."""

    def answer(request: web.Request) -> web.StreamResponse | None:
        if request.path == "/7.png":
            assert request.transport is not None
            request.transport.close()
        return None

    async with (
        restarting_site() as site,
        fetching_at(tmp_path, max_attempts=3, host_concurrency=2) as local,
    ):
        site.answer = answer
        run = await ended(
            local, (await local.submit("nike", source=write_list(tmp_path, urls_of(site)))).id
        )
        counts = await attempts(local, run.id)
    assert (run.state, run.done, run.reasons) == (
        RunState.COMMITTED,
        URLS - 1,
        {"connection_failed": 1},
    )
    assert counts == {0: URLS - 1, 3: 1}


@asynccontextmanager
async def silent_servers(hosts: Sequence[str]) -> AsyncIterator[list[str]]:
    """Listen on these hosts, accept connections and never answer."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    servers = [await asyncio.start_server(hang, host, 0) for host in hosts]
    try:
        yield [
            f"http://{host}:{server.sockets[0].getsockname()[1]}"
            for host, server in zip(hosts, servers, strict=True)
        ]
    finally:
        for server in servers:
            server.close()


@pytest.mark.parametrize("robots", [True, False])
@pytest.mark.parametrize(("known", "deadline_s"), [(True, LONG_S), (False, 1.0)])
async def test_many_silent_hosts_leave_room_for_one_that_answers(
    tmp_path: Path, robots: bool, known: bool, deadline_s: float
) -> None:
    """More of them than the worker has downloads, met first.

    A host that is known to answer does not wait for them at all. One that is not has its turn when
    some of them have been given up.
    """
    silent = [f"127.0.3.{n}" for n in range(1, 41)]
    async with (
        silent_servers(silent) as dead,
        restarting_site("127.0.0.2") as site,
        fetching_at(
            tmp_path,
            robots=robots,
            fetch_deadline_s=deadline_s,
            acquire_concurrency=16,
            drain_s=0.5,
        ) as local,
    ):
        if known:
            first = write_list(tmp_path, [site.url(0)], "first")
            await ended(local, (await local.submit("adidas", source=first)).id)
        mixed = [*(f"{host}/{n}.png" for n in range(3) for host in dead), *urls_of(site)]
        run = await local.submit("nike", source=write_list(tmp_path, mixed))
        async with asyncio.timeout(PATIENCE_S):
            async for seen in local.watch(run.id):
                if seen.done == URLS:
                    break
        await local.registry.cancel(run.id)
    assert seen.failed == 0


async def test_thousands_of_dead_hosts_end_and_do_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list full of typos: a run waits for a part of them at a time, not for each.

    The part is a hundred of thousands; here it is smaller, and so is the list.
    """
    monkeypatch.setattr("triptych.runs.postgres.postgres_outages.HOSTS_WAITED_FOR_MAX", WAITED_FOR)
    dead = [f"http://127.1.{n // 200}.{n % 200 + 1}:9/{n}.png" for n in range(DEAD)]
    waited_max = 3 * WAITED_FOR  # Statements at the same moment do not see each other's.
    async with (
        restarting_site("127.0.0.2") as site,
        fetching_at(
            tmp_path, host_patience_s=LONG_S, max_attempts=2, tolerated_failures=1.0
        ) as local,
    ):
        opened = await local.submit("nike", source=write_list(tmp_path, [*dead, *urls_of(site)]))
        async with asyncio.timeout(PATIENCE_S):
            async for seen in local.watch(opened.id):
                if seen.done == URLS and seen.settled >= DEAD + URLS - waited_max:
                    break
        outages = await local.stores.databases[0].fetch("select from host_outages")
        shown = await events(local, opened.id)
        await local.registry.cancel(opened.id)
    assert WAITED_FOR <= len(outages) <= waited_max
    assert len(shown) <= len(outages)


async def test_copies_of_messages_lose_nothing_while_a_host_is_away(
    migrated_dsn: str, tmp_path: Path
) -> None:
    """Several workers, each message four times, the host away for some seconds."""
    env = environment(migrated_dsn, tmp_path / "data", quiet_s=300, visibility_s=60, decode=False)
    async with (
        restarting_site() as site,
        open_workers_harness(migrated_dsn) as harness,
        Workers(2, env, random.Random(0), TO_COMMIT),
    ):
        await site.stop()
        source = write_list(tmp_path, urls_of(site))
        opened = await harness.registry.open("nike", source=source)
        database = harness.database
        await until(
            lambda: database.fetch("select from items where waits_for is not null"),
            lambda rows: len(rows) == URLS,
        )
        await database.fetch(
            'insert into pgmq."q_url-process-queue" (vt, message, headers)'
            ' select vt, message, headers from pgmq."q_url-process-queue", generate_series(1, 4)'
        )
        await asyncio.sleep(AWAY_S)  # What is shown is that this time costs nothing.
        await site.start()
        run = await harness.until_committed(opened.run.id)
        rows = await database.fetch("select attempts from items")
        letters = await harness.stores.dead_letters.dead_letters(limit=10)
    assert finished(run, URLS)
    assert {row["attempts"] for row in rows} == {0}
    assert not letters


@pytest.mark.prove
@pytest.mark.parametrize("away_s", by_size([5, 15], [5, 15, 40]))
async def test_a_host_that_is_down_for_so_long_loses_no_url_of_300(
    tmp_path: Path, away_s: int
) -> None:
    """With the settings that everyone has: the review lost 1, 45 and 179."""
    async with restarting_site() as site, local_at(tmp_path, host_concurrency=4) as local:
        opened = await local.submit("nike", source=write_list(tmp_path, urls_of(site, 300)))
        await until_true(lambda: site.requests.total() > 20)
        await site.stop()
        await asyncio.sleep(away_s)
        await site.start()
        run = await ended(local, opened.id)
        counts = await attempts(local, run.id)
    print(f"away for {away_s} s: attempts {dict(counts)}")
    assert finished(run, 300)
