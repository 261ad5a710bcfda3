"""What Postgres raises when it is away is one error of ours; defects stay what they are."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from triptych.database.session import Database, Transaction, no_nul, translated
from triptych.database.statements import statements
from triptych.errors import DatabaseFull, DatabaseUnavailable, RowLocked, SchemaBehind
from triptych.runtime.json_values import UnreadableJson


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("refused"),
        TimeoutError(),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.AdminShutdownError("terminating"),
        asyncpg.CrashShutdownError("crashed"),
        asyncpg.TooManyConnectionsError("too many"),
        asyncpg.IdleInTransactionSessionTimeoutError("idle for too long"),
        asyncpg.InternalClientError("cannot switch to state 15; another operation is in progress"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InterfaceError("pool is closing"),
    ],
)
def test_an_outage_is_one_clear_line(error: Exception) -> None:
    with pytest.raises(DatabaseUnavailable) as told, translated():
        raise error
    assert "\n" not in str(told.value)
    assert "TRIPTYCH_DATABASE_URL" in str(told.value)


def test_a_full_disk_is_named_with_its_place_and_what_is_free_there(tmp_path: Path) -> None:
    error = asyncpg.DiskFullError('could not extend file "base/5/1": No space left on device')
    said = f"in {tmp_path} is full: .* MiB of .*base/5/1"
    with pytest.raises(DatabaseFull, match=said), translated(tmp_path):
        raise error
    with pytest.raises(DatabaseFull, match="disk of the database is full"), translated():
        raise error


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UndefinedFunctionError("no such function"),
        asyncpg.CheckViolationError("check"),
        asyncpg.InterfaceError("another operation is in progress"),
        ValueError("ours"),
    ],
)
def test_a_defect_is_no_outage(error: Exception) -> None:
    with pytest.raises(type(error)), translated():
        raise error


@pytest.mark.parametrize("error", [asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError])
def test_what_a_migration_would_bring_is_a_schema_that_is_behind(
    error: type[asyncpg.PostgresError],
) -> None:
    with pytest.raises(SchemaBehind, match=r"no such thing.*triptych migrate"), translated():
        raise error("no such thing")


async def test_a_transaction_goes_on_when_a_migration_adds_a_column(fresh_dsn: str) -> None:
    database = Database(fresh_dsn, pool_max=1)
    release, added = Database(fresh_dsn, pool_max=1), 0

    async def read(tx: Transaction) -> list[asyncpg.Record]:
        nonlocal added
        if added < 2:
            added += 1
            await release.fetch(f"alter table grows add column c{added} int")
        return await tx.rows_of("select * from grows")

    try:
        await database.fetch("create table grows (c0 int)")
        await database.fetch("select * from grows")
        assert await database.transact(read) == []
        added = 0
        await database.fetch("alter table grows drop column c1, drop column c2")
        await database.fetch("select * from grows")
        with pytest.raises(DatabaseUnavailable, match="changed by a migration"):
            async with database.connection() as connection, connection.transaction():
                await read(Transaction(connection, None))
    finally:
        await database.close()
        await release.close()


def test_a_lock_that_is_held_for_long_has_an_error_of_its_own() -> None:
    with pytest.raises(RowLocked, match="Try again in a moment"), translated():
        raise asyncpg.LockNotAvailableError("canceling statement due to lock timeout")


async def test_a_connection_whose_driver_lost_its_place_is_not_used_again(
    migrated_dsn: str,
) -> None:
    database = Database(migrated_dsn, pool_max=1)
    used: list[int] = []

    async def use(error: Exception | None) -> None:
        async with database.connection() as connection:
            used.append(connection.get_server_pid())
            if error is not None:
                raise error

    try:
        with pytest.raises(DatabaseUnavailable):
            await use(asyncpg.InternalClientError("cannot switch to state 15"))
        await use(None)
        assert used[0] != used[1]
    finally:
        await database.close()


async def test_a_rollback_that_fails_hides_no_error_and_keeps_no_connection(
    migrated_dsn: str,
) -> None:
    database = Database(migrated_dsn, pool_max=1)

    async def work(tx: Transaction) -> None:
        (row,) = await tx.rows_of("select pg_terminate_backend(pg_backend_pid())")
        pytest.fail(f"answered {row}")

    try:
        with pytest.raises(DatabaseUnavailable):
            await database.transact(work)
        assert await database.fetch("select 1")
    finally:
        await database.close()


async def test_json_that_cannot_be_read_fails_no_row(migrated_dsn: str) -> None:
    database = Database(migrated_dsn, pool_max=1)
    try:
        rows = await database.fetch(
            "select * from (values ('{\"a\": 1}'::jsonb), ('[1e400]'), (null), ('null')) as t(j)"
        )
        good, bad, *nothing = [row["j"] for row in rows]
        assert (good, nothing) == ({"a": 1}, [None, None])
        assert isinstance(bad, UnreadableJson)
    finally:
        await database.close()


async def test_a_nul_in_json_is_replaced_and_a_backslash_is_not(migrated_dsn: str) -> None:
    database = Database(migrated_dsn, pool_max=1)
    value = {"nul\x00": "a\x00b", "text": "\\u0000", "both": "\\\x00"}
    try:
        (row,) = await database.fetch("select $1::jsonb as j", value)
        assert row["j"] == {"nul\ufffd": "a\ufffdb", "text": "\\u0000", "both": "\\\ufffd"}
    finally:
        await database.close()


def test_texts_are_made_fit_for_postgres() -> None:
    assert no_nul(["a\x00b", None, "x" * 9], 5) == ["a\ufffdb", None, "xxxxx"]


def test_every_statement_has_a_name_and_a_text() -> None:
    found = statements()
    assert {"settle_items", "count_settled", "publish_assets"} <= found.keys()
    assert all(found.values())
