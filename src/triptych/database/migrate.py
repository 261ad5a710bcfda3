"""Applying migrations: each once and in order, one process at a time, and never in anybody's way.

A short migration is a transaction. It waits for a table for `LOCK_WAIT_S` at most, since all that
comes after it waits as well; then it gives way and tries again. A long migration takes no such
locks, may be killed anywhere, and goes on where it was. Short ones do not wait for long ones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import asyncpg
import structlog

from triptych.database.migration import (
    PGMQ_MIGRATION,
    STRICT_LEVEL,
    LongStatement,
    Migration,
    migrations,
)
from triptych.database.schema import Schema, read_schema
from triptych.database.session import Database, translated
from triptych.errors import DatabaseUnavailable, SettingsError
from triptych.runtime.retry import backoff

LOCK_KEY = 0x7472697074796368
"""``triptych`` in ASCII: the advisory lock that short migrations are applied under."""
LONG_LOCK_KEY = LOCK_KEY + 1
"""The advisory lock that long migrations are applied under."""
MIGRATOR_WAIT_S = 3600.0
"""How long one process waits for another that migrates."""
MIGRATOR_POLL_S = 0.2
MIGRATION_TIMEOUT_S = 3600.0
"""How long a short migration may take."""
LONG_TIMEOUT_S = 7 * 86_400.0
"""How long one statement of a long migration may take, all its repetitions together."""
LOCK_WAIT_S = 1.0
"""How long a statement waits for a lock, and everybody else for the statement."""
LOCK_TRIES = 60
"""Tries to get the locks: with the pauses between them, ten minutes on average, and 21 at most."""
LOCK_PAUSE_S = 0.5
LOCK_PAUSE_MAX_S = 20.0
CLIENT_CHECK_S = 1
"""How soon Postgres notices that the process which migrates is gone, and ends its statement."""

_BLOCKED = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
_OLDEST_TRANSACTION = """
select format('process %s of %L, in a transaction for %s s', pid, application_name,
              extract(epoch from clock_timestamp() - xact_start)::bigint)
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
order by xact_start limit 1
"""
_IS_INVALID = "select not indisvalid from pg_index where indexrelid = to_regclass($1)"

log = structlog.get_logger(__name__)

T = TypeVar("T")


def log_line(line: str) -> None:
    """Log what is being done, where there is no terminal to show it on."""
    log.info("migrates", doing=line)


async def migrate(
    database: Database,
    *,
    skip_long: bool = False,
    steps: Sequence[Migration] | None = None,
    say: Callable[[str], None] = log_line,
) -> Sequence[str]:
    """Apply missing migrations; return their names. Safe to run concurrently, and to repeat.

    Args:
        database: whose schema is brought up to date.
        skip_long: leaves out long migrations, which the code can do without.
        steps: all migrations; those of this code unless given.
        say: shows the user one line for each statement that may take long: none if the database is
            new.

    Raises:
        DatabaseUnavailable: the database does not answer, its schema no longer serves this code, or
            others kept a lock for all of `LOCK_TRIES`, or migrated for `MIGRATOR_WAIT_S`.
        SettingsError: its role may not create what is needed, or pgvector is missing.
    """
    steps = steps or migrations()
    with translated():
        connection = await database.connect("triptych-migrate")
        try:
            return await _apply_missing(connection, steps, skip_long=skip_long, say=say)
        except (asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError) as error:
            raise SettingsError(
                f"The schema cannot be created ({error}).",
                field="TRIPTYCH_DATABASE_URL",
                remedy="Use a role that may create extensions, on a Postgres that has pgvector.",
            ) from error
        finally:
            await connection.close()


async def _apply_missing(
    connection: asyncpg.Connection,
    steps: Sequence[Migration],
    *,
    skip_long: bool,
    say: Callable[[str], None],
) -> Sequence[str]:
    applied: list[str] = []
    if not (await read_schema(connection, steps)).level:
        say = _nothing  # It is new: nothing takes long on empty tables.
    await connection.execute(f"set client_connection_check_interval = '{CLIENT_CHECK_S}s'")
    if await _missing(connection, steps, long=False):
        async with _alone(connection, LOCK_KEY):
            for step in await _missing(connection, steps, long=False):
                await _with_locks(connection, step.name, partial(_apply, connection, step))
                applied.append(step.name)
    if not skip_long and await _missing(connection, steps, long=True):
        async with _alone(connection, LONG_LOCK_KEY):
            for step in await _missing(connection, steps, long=True):
                await _apply_long(connection, step, say)
                applied.append(step.name)
    return applied


def _nothing(_: str) -> None:
    pass


async def _missing(
    connection: asyncpg.Connection, steps: Sequence[Migration], *, long: bool
) -> Sequence[Migration]:
    schema: Schema = await read_schema(connection, steps)
    schema.refuse_newer()
    return [step for step in schema.missing if step.long == long]


@asynccontextmanager
async def _alone(connection: asyncpg.Connection, key: int) -> AsyncIterator[None]:
    """Hold an advisory lock, which also ends with the connection.

    It is asked for again and again: a statement that waits for it has a snapshot, and building an
    index concurrently waits until nobody has an older one.
    """
    deadline = time.monotonic() + MIGRATOR_WAIT_S
    while not await connection.fetchval("select pg_try_advisory_lock($1)", key):
        if time.monotonic() > deadline:
            raise DatabaseUnavailable(
                f"Another process has been migrating for {MIGRATOR_WAIT_S:.0f} s.",
                remedy="Wait for it; `triptych doctor` says what is still to be applied.",
            )
        await asyncio.sleep(MIGRATOR_POLL_S)
    yield
    await connection.fetchval("select pg_advisory_unlock($1)", key)


async def _with_locks(
    connection: asyncpg.Connection, name: str, work: Callable[[], Awaitable[T]]
) -> T:
    """Do it again while others hold a lock that it needs.

    Raises:
        DatabaseUnavailable: they still do after `LOCK_TRIES`.
    """
    for attempt in range(1, LOCK_TRIES + 1):
        try:
            return await work()
        except _BLOCKED as error:
            blocked = error
        holder = await connection.fetchval(_OLDEST_TRANSACTION) or "unknown"
        log.warning("migration_blocked", migration=name, attempt=attempt, oldest=holder)
        if attempt < LOCK_TRIES:
            await asyncio.sleep(backoff(attempt, base_s=LOCK_PAUSE_S, cap_s=LOCK_PAUSE_MAX_S))
    raise DatabaseUnavailable(
        f"The migration {name} did not get its locks in {LOCK_TRIES} tries; the oldest open "
        f"transaction: {holder}.",
        remedy="Wait for that transaction, or end it with pg_terminate_backend; then run "
        "`triptych migrate` again. Nothing was changed.",
    ) from blocked


async def _apply(connection: asyncpg.Connection, step: Migration) -> None:
    async with connection.transaction():
        await connection.execute(
            "create table if not exists schema_migrations ("
            "name text primary key, at timestamptz not null default now())"
        )
        await connection.execute(f"set local lock_timeout = '{LOCK_WAIT_S * 1000:.0f}ms'")
        if step.name != PGMQ_MIGRATION or not await _has_pgmq(connection):
            await connection.execute(step.sql, timeout=MIGRATION_TIMEOUT_S)
        await _note(connection, step)
        if step.level > STRICT_LEVEL:
            await connection.execute(
                "update compatible_migrations set applied_at = clock_timestamp() where name = $1",
                step.name,
            )


async def _note(connection: asyncpg.Connection, step: Migration) -> None:
    """Record a migration that is applied or, if it is long, begun."""
    if step.level <= STRICT_LEVEL or step.oldest > STRICT_LEVEL:
        # Code of `STRICT_LEVEL` refuses every name here that it does not know.
        await connection.execute(
            "insert into schema_migrations (name) values ($1) on conflict do nothing", step.name
        )
    if step.level > STRICT_LEVEL:
        await connection.execute(
            "insert into compatible_migrations (name, oldest) values ($1, $2) "
            "on conflict do nothing",
            step.name,
            step.oldest,
        )


async def _apply_long(
    connection: asyncpg.Connection, step: Migration, say: Callable[[str], None]
) -> None:
    """Run what was not run yet of a long migration."""
    async with connection.transaction():
        await _note(connection, step)
    done = await connection.fetchval(
        "select statements_done from compatible_migrations where name = $1", step.name
    )
    for statement in step.statements:
        if statement.name in done:
            continue
        say(f"Migrating: {step.name}, {statement.name}. It may take long, and be interrupted.")
        await _run_long(connection, f"{step.name}, {statement.name}", statement)
        await connection.execute(
            "update compatible_migrations set statements_done = statements_done || $2::text "
            "where name = $1",
            step.name,
            statement.name,
        )
    await connection.execute(
        "update compatible_migrations set applied_at = clock_timestamp() where name = $1",
        step.name,
    )


async def _run_long(connection: asyncpg.Connection, name: str, statement: LongStatement) -> None:
    # Building an index waits for other transactions, and nobody waits for it meanwhile.
    wait_ms = 0 if statement.concurrent else round(LOCK_WAIT_S * 1000)
    await connection.execute(f"set lock_timeout = '{wait_ms}ms'")
    deadline = time.monotonic() + LONG_TIMEOUT_S

    async def once() -> str:
        if statement.index is not None:
            await _drop_invalid(connection, statement.index)
        left_s = max(deadline - time.monotonic(), 1.0)
        return str(await connection.execute(statement.sql, timeout=left_s))

    try:
        while _changed(await _with_locks(connection, name, once)) and statement.until_none:
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"The migration {name} has not ended after {LONG_TIMEOUT_S:.0f} s.",
                    remedy="Run `triptych migrate` again: it goes on where it was.",
                )
    finally:
        if not connection.is_closed():
            await connection.execute("reset lock_timeout")


async def _drop_invalid(connection: asyncpg.Connection, index: str) -> None:
    """Drop what an interrupted ``create index concurrently`` has left: nothing can use it."""
    if await connection.fetchval(_IS_INVALID, index):
        log.warning("invalid_index_dropped", index=index)
        await connection.execute(f'drop index concurrently "{index}"', timeout=LONG_TIMEOUT_S)


def _changed(tag: str) -> int:
    """Return the rows that a statement has changed, of its command tag: ``UPDATE 12``."""
    count = tag.rpartition(" ")[2]
    return int(count) if count.isdecimal() else 0


async def _has_pgmq(connection: asyncpg.Connection) -> bool:
    """Return whether pgmq exists already, as an extension or from another installation."""
    return bool(await connection.fetchval("select to_regclass('pgmq.meta') is not null"))
