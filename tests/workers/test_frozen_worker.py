"""A worker that is stopped inside a commit: other brands take no notice of it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.support.picture_server import serve_pictures, write_manifest
from tests.support.registry_harness import RegistryHarness
from tests.support.waiting import until
from tests.support.worker_processes import (
    MISSING,
    URLS,
    Workers,
    assert_committed_once,
    environment,
    open_workers_harness,
)
from triptych.model import Run

pytestmark = [pytest.mark.integration, pytest.mark.prove]

PATIENCE_S = 300.0
OTHERS = 3
SLOW_COMMIT = """
create function slow_commit() returns trigger language plpgsql as $$
begin
    if exists (select from new_assets where brand = 'frozen') then perform pg_sleep(3); end if;
    return null;
end
$$;
create trigger slow_commit after insert on assets
referencing new table as new_assets for each statement execute function slow_commit();
"""
HELD = """
select from pgmq."q_url-process-queue" where message ->> 'brand' = 'frozen' limit 1
"""
"""Messages that the frozen worker holds: they come again, and the other worker deletes them."""
RATIO_MAX = 5.0
"""Of the time that other brands take beside a frozen worker and without one. Nearer to 1 would
measure what else this machine does; a worker that waits for the frozen one's lock takes 20 times as
long."""


async def take_through(
    harness: RegistryHarness, base: str, folder: Path, names: list[str]
) -> tuple[list[Run], float]:
    """Take brands through all phases; return their runs and the seconds it took."""
    begun = time.monotonic()
    opened = [
        await harness.registry.open(name, source=write_manifest(folder, base, name, URLS))
        for name in names
    ]
    runs = [await harness.ended(one.run.id) for one in opened]
    return runs, time.monotonic() - begun


async def test_other_brands_do_not_wait_for_a_worker_that_is_frozen_in_a_commit(
    migrated_dsn: str, tmp_path: Path
) -> None:
    async with (
        asyncio.timeout(PATIENCE_S),
        serve_pictures() as base,
        open_workers_harness(migrated_dsn) as harness,
    ):
        env = environment(migrated_dsn, tmp_path / "data")
        names = [f"alone{number}" for number in range(OTHERS)]
        others = [f"beside{number}" for number in range(OTHERS)]
        async with Workers(1, env, random.Random(1)):
            await take_through(harness, base, tmp_path, ["first"])
            undisturbed, alone_s = await take_through(harness, base, tmp_path, names)
        async with harness.database.connection() as connection:
            await connection.execute(SLOW_COMMIT)
        async with Workers(1, env, random.Random(1)) as workers:
            source = write_manifest(tmp_path, base, "frozen", URLS)
            run = (await harness.registry.open("frozen", source=source)).run
            await until(
                lambda: harness.database.fetch(
                    "select from pg_stat_activity where wait_event = 'PgSleep'"
                )
            )
            worker = workers.processes[0].pid
            os.kill(worker, signal.SIGSTOP)
            try:
                async with Workers(1, env, random.Random(2)):
                    await take_through(harness, base, tmp_path, ["second"])
                    await until(lambda: harness.database.fetch(HELD), lambda held: not held)
                    disturbed, beside_s = await take_through(harness, base, tmp_path, others)
                    # Its session has ended by itself, and another worker commits.
                    ended = await harness.ended(run.id)
            finally:
                os.kill(worker, signal.SIGCONT)
        await assert_committed_once(harness, [*undisturbed, *disturbed, ended])
    assert ended.failed == MISSING
    print(f"alone {alone_s:.2f} s, beside a frozen worker {beside_s:.2f} s")
    assert beside_s < RATIO_MAX * alone_s
