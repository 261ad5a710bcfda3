"""Migrations while others work: they give way to reads, and go on wherever they were killed."""

from __future__ import annotations

import asyncio
import operator
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from tests.support.waiting import until
from triptych.database import migrate as module
from triptych.database.migrate import migrate
from triptych.database.migration import STRICT_LEVEL, Migration, migrations, read_migration
from triptych.database.schema import read_schema
from triptych.database.session import Database
from triptych.errors import DatabaseUnavailable

COLUMN = "-- oldest compatible: 0029\nalter table big add column side int;"
LONG = """-- oldest compatible: 0029
-- long

-- index_number --
create index concurrently if not exists big_by_number on big (number);

-- fill_side until none --
update big set side = 1 where number in (select number from big where side is null limit 400);

-- index_side --
create unique index concurrently if not exists big_by_side on big (side, number);
"""
ROWS = 1000
STATE = "select statements_done, applied_at is not null from compatible_migrations where name = $1"
INDEXES = """
select c.relname, i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid
where i.indrelid = 'big'::regclass order by 1
"""
BUILT = [("big_by_number", True), ("big_by_side", True)]


def with_steps(*texts: str) -> list[Migration]:
    """This code's migrations, and some more."""
    more = [read_migration(f"{9000 + n}_more", text) for n, text in enumerate(texts, 1)]
    return [*migrations(), *more]


@pytest.fixture
async def database(migrated_dsn: str) -> AsyncIterator[Database]:
    """A database with a table of `ROWS` rows, `big`."""
    found = Database(migrated_dsn)
    await found.fetch("create table big (number int not null)")
    await found.fetch(f"insert into big select generate_series(1, {ROWS})")
    yield found
    await found.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT_S", 0.05)
    monkeypatch.setattr(module, "LOCK_PAUSE_MAX_S", 0.05)


@asynccontextmanager
async def held(database: Database, statement: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that has run a statement and stays open."""
    connection = await database.connect("holds")
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(statement)
        yield connection
    finally:
        await connection.close()


async def indexes(database: Database) -> list[tuple[str, bool]]:
    return [tuple(row) for row in await database.fetch(INDEXES)]


async def check_built(database: Database, name: str = "9002_more") -> None:
    assert await indexes(database) == BUILT
    assert await database.fetch("select 1 from big where side is null limit 1") == []
    async with database.connection() as connection:
        done, applied = await connection.fetchrow(STATE, name)
    assert (done, applied) == (["index_number", "fill_side", "index_side"], True)


async def test_each_is_recorded_where_the_code_that_it_serves_looks(database: Database) -> None:
    breaking = f"-- oldest compatible: {STRICT_LEVEL + 1:04}\nselect 1;"
    applied = await migrate(database, steps=with_steps(COLUMN, breaking))
    assert applied == ["9001_more", "9002_more"]
    strict = {row["name"] for row in await database.fetch("select name from schema_migrations")}
    known = {step.name for step in migrations() if step.level <= STRICT_LEVEL}
    # Code of that level refuses what it does not know: only what really no longer serves it.
    assert strict - known == {"9002_more"}
    schema = await read_schema(database, with_steps(COLUMN, breaking))
    assert (schema.level, schema.oldest, schema.missing) == (9002, STRICT_LEVEL + 1, ())


async def blocked(logs: list[Any]) -> int:
    return len(logs)


@pytest.mark.usefixtures("quick")
async def test_a_migration_gives_way_to_a_long_read_and_nobody_waits_behind_it(
    database: Database,
) -> None:
    with capture_logs() as logs:
        async with held(database, "select count(*) from big"):
            release = asyncio.create_task(migrate(database, steps=with_steps(COLUMN)))
            # Each of these would wait for the reader if the migration stood in the queue for good.
            for tries in (1, 2, 3):
                await until(partial(blocked, logs), partial(operator.le, tries))
                assert len(await database.fetch("select number from big")) == ROWS
            assert not release.done()
        assert await release == ["9001_more"]
    assert {entry["event"] for entry in logs} == {"migration_blocked"}
    assert "of 'holds', in a transaction for" in logs[0]["oldest"]


@pytest.mark.usefixtures("quick")
async def test_one_that_never_gets_its_locks_says_who_has_them(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_TRIES", 3)
    async with held(database, "select count(*) from big"):
        with pytest.raises(DatabaseUnavailable, match=r"9001_more .* 3 tries; .*of 'holds'.*again"):
            await migrate(database, steps=with_steps(COLUMN))
    assert await migrate(database, steps=with_steps(COLUMN)) == ["9001_more"]


async def test_a_long_migration_is_applied_beside_a_long_read(database: Database) -> None:
    steps = with_steps(COLUMN, LONG)
    assert await migrate(database, steps=steps, skip_long=True) == ["9001_more"]
    schema = await read_schema(database, steps)
    assert [step.name for step in schema.missing] == ["9002_more"]
    assert schema.level == 9001
    said: list[str] = []
    assert await migrate(database, steps=steps, say=said.append) == ["9002_more"]
    assert [re.sub(r"\..*", "", line) for line in said] == [
        f"Migrating: 9002_more, {name}" for name in ("index_number", "fill_side", "index_side")
    ]
    await check_built(database)
    assert await migrate(database, steps=steps) == []


async def test_a_new_database_says_nothing_of_long_migrations(fresh_dsn: str) -> None:
    said: list[str] = []
    database = Database(fresh_dsn)
    try:
        assert await migrate(database, say=said.append)
    finally:
        await database.close()
    assert said == []


@pytest.mark.parametrize("statement", range(9))
async def test_a_long_migration_goes_on_wherever_it_was_interrupted(
    database: Database, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    steps = with_steps(COLUMN, LONG)
    await migrate(database, steps=steps, skip_long=True)
    real, count = asyncpg.Connection.execute, 0

    async def cut(self: asyncpg.Connection, sql: str, *args: object, **more: object) -> Any:
        nonlocal count
        # Two indexes, four rounds of filling, and the note that each of the three was run.
        count += " big" in sql or "statements_done ||" in sql
        if count == statement + 1:
            raise ConnectionResetError("killed")
        return await real(self, sql, *args, **more)

    monkeypatch.setattr(asyncpg.Connection, "execute", cut)
    with pytest.raises(DatabaseUnavailable, match="killed"):
        await migrate(database, steps=steps)
    monkeypatch.undo()
    assert await migrate(database, steps=steps) == ["9002_more"]
    await check_built(database)


async def test_short_migrations_do_not_wait_for_a_long_one_and_one_process_does_it(
    database: Database,
) -> None:
    first = with_steps(COLUMN, LONG)
    later = with_steps(COLUMN, LONG, "-- oldest compatible: 0029\ncreate table more ();")
    await migrate(database, steps=first, skip_long=True)
    async with held(database, "update big set number = number where number = 1"):
        # Its first index waits for this transaction.
        long = [asyncio.create_task(migrate(database, steps=first)) for _ in range(2)]
        await until(lambda: indexes(database), lambda found: found == [("big_by_number", False)])
        assert await migrate(database, steps=later, skip_long=True) == ["9003_more"]
        assert not any(task.done() for task in long)
    assert sorted(map(list, await asyncio.gather(*long))) == [[], ["9002_more"]]
    await check_built(database)


async def test_a_unique_index_that_cannot_be_built_is_built_after_the_rows_are_corrected(
    database: Database,
) -> None:
    steps = with_steps(COLUMN, LONG)
    await database.fetch("insert into big values (7)")
    with pytest.raises(asyncpg.UniqueViolationError, match="big_by_side"):
        await migrate(database, steps=steps)
    assert await indexes(database) == [("big_by_number", True), ("big_by_side", False)]
    await database.fetch(
        "delete from big where ctid = (select max(ctid) from big where number = 7)"
    )
    with capture_logs() as logs:
        assert await migrate(database, steps=steps) == ["9002_more"]
    assert {"invalid_index_dropped"} < {entry["event"] for entry in logs}
    await check_built(database)


WAITING = """
select 1 from pg_stat_activity
where application_name = 'triptych-migrate' and query like '%pg_try_advisory_lock%'
"""


async def test_the_release_before_is_waited_for_while_it_migrates(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its migrations are one transaction, under this lock.
    async with held(database, f"select pg_advisory_xact_lock({module.LOCK_KEY})"):
        release = asyncio.create_task(migrate(database, steps=with_steps(COLUMN)))
        await until(lambda: database.fetch(WAITING))
        monkeypatch.setattr(module, "MIGRATOR_WAIT_S", 0.0)
        with pytest.raises(DatabaseUnavailable, match="Another process has been migrating"):
            await migrate(database, steps=with_steps(COLUMN))
        monkeypatch.undo()
        assert not release.done()
    assert await release == ["9001_more"]


PROCESS = """
import asyncio, sys
from tests.database.test_migrate import COLUMN, LONG, with_steps
from triptych.database.migrate import migrate
from triptych.database.session import Database
asyncio.run(migrate(Database(sys.argv[1]), steps=with_steps(COLUMN, LONG)))
"""


async def test_a_killed_process_leaves_an_invalid_index_which_the_next_one_builds(
    database: Database, migrated_dsn: str
) -> None:
    await migrate(database, steps=with_steps(COLUMN))
    async with held(database, "update big set number = number where number = 1"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROCESS, migrated_dsn),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stderr=PIPE,
        )
        await until(lambda: indexes(database), lambda found: found == [("big_by_number", False)])
        process.send_signal(signal.SIGKILL)
        await process.wait()
        # Postgres notices by itself that nobody waits for the statement any more.
        await until(
            lambda: database.fetch(
                "select 1 from pg_stat_activity where application_name = 'triptych-migrate'"
            ),
            lambda found: not found,
        )
        assert await indexes(database) == [("big_by_number", False)]
    assert await migrate(database, steps=with_steps(COLUMN, LONG)) == ["9002_more"]
    await check_built(database)
