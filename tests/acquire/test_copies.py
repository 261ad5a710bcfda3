"""Copies of one message are one try: duplicates, redeliveries and several workers cost nothing."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.local_pipeline import ended, local_at
from tests.support.restarting_site import RestartingSite, restarting_site, write_list
from tests.support.worker_processes import Workers, environment, open_workers_harness
from triptych.database.session import Database
from triptych.messages import URL_QUEUE
from triptych.model import Policy, RunState
from triptych.runs.registry import ActiveBrandRegistry

pytestmark = pytest.mark.integration

URLS = 40
COPIES = 4
FAILS = 3
"""Answers of HTTP 500 that each URL gives before its picture."""
AWAY_S = 3.0
ATTEMPTS_MAX = 8
"""So many that a try after each full pause never uses them up while the site is away."""


async def multiply_messages(database: Database) -> None:
    """From now on every message to acquire a URL is in the queue several times."""
    await database.fetch(
        f"""
        create function "multiply"() returns trigger language plpgsql as $$
        begin
            insert into pgmq."q_{URL_QUEUE}" (vt, message, headers)
            select new.vt, new.message, new.headers from generate_series(1, {COPIES});
            return null;
        end
        $$"""
    )
    await database.fetch(
        f"""
        create trigger multiply after insert on pgmq."q_{URL_QUEUE}" for each row
        when (pg_trigger_depth() = 0 and new.vt <= clock_timestamp() + interval '10 ms')
        execute function "multiply"()"""
    )


def fails_at_first(site: RestartingSite) -> None:
    def answer(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=500) if site.requests[request.path] <= FAILS else None

    site.answer = answer


async def test_copies_in_one_worker_are_one_try(tmp_path: Path) -> None:
    """Every URL is requested as often as its attempts say, and once more for its picture."""
    async with restarting_site() as site, local_at(tmp_path, robots=False) as local:
        fails_at_first(site)
        await multiply_messages(local.stores.databases[0])
        source = write_list(tmp_path, [site.url(number) for number in range(URLS)])
        run = await ended(local, (await local.submit("nike", source=source)).id)
        rows = await local.stores.databases[0].fetch(
            "select url, attempts from items where run_id = $1", run.id
        )
    assert (run.state, run.done, run.failed) == (RunState.COMMITTED, URLS, 0)
    assert {row["attempts"] for row in rows} == {FAILS}
    assert set(site.requests.values()) == {FAILS + 1}


async def test_copies_in_several_workers_use_up_no_attempts(
    migrated_dsn: str, tmp_path: Path
) -> None:
    env = environment(migrated_dsn, tmp_path / "data", stalled_s=300, visibility_s=60, robots=False)
    policy = Policy(tolerated_failures=0.5, max_attempts=ATTEMPTS_MAX, deadline_s=3600)
    back_at = 0.0

    def answer(_request: web.Request) -> web.StreamResponse | None:
        nonlocal back_at
        back_at = back_at or time.monotonic() + AWAY_S
        return web.Response(status=500) if time.monotonic() < back_at else None

    async with (
        restarting_site() as site,
        open_workers_harness(migrated_dsn) as harness,
        Workers(3, env, random.Random(0)),
    ):
        site.answer = answer
        registry = ActiveBrandRegistry(
            harness.stores.runs,
            harness.stores.brands,
            harness.stores.dead_letters,
            harness.queue,
            window=500,
            policy=policy,
        )
        await multiply_messages(harness.database)
        source = write_list(tmp_path, [site.url(number) for number in range(URLS)])
        run = await harness.ended((await registry.open("nike", source=source)).run.id)
        letters = await harness.stores.dead_letters.dead_letters(limit=10)
    assert (run.state, run.done, run.failed) == (RunState.COMMITTED, URLS, 0)
    assert not letters
