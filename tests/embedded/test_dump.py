"""A dump is that of one moment, is loaded whole or not at all, and says why it failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.support.embedded import ask
from triptych.embedded.binaries import Binaries, find_binaries
from triptych.embedded.dump import dump, load
from triptych.embedded.errors import PostgresServerError


async def dumped(dsn: str, snapshot: str) -> bytes:
    return b"".join([chunk async for chunk in dump(find_binaries(), dsn, snapshot=snapshot)])


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


@pytest.fixture
async def body(migrated_dsn: str) -> AsyncIterator[bytes]:
    connection = await asyncpg.connect(migrated_dsn)
    await connection.execute("insert into brands (name) values ('before')")
    async with connection.transaction(isolation="repeatable_read"):
        snapshot = await connection.fetchval("select pg_export_snapshot()")
        await ask(migrated_dsn, "insert into brands (name) values ('after')")
        yield await dumped(migrated_dsn, snapshot)
    await connection.close()


async def test_a_dump_is_of_its_snapshot_and_is_loaded_by_a_role_that_is_no_superuser(
    body: bytes, fresh_dsn: str
) -> None:
    await load(find_binaries(), fresh_dsn, chunks(body))
    assert await ask(fresh_dsn, "select array_agg(name) from brands") == ["before"]
    assert await ask(fresh_dsn, "select count(*) from pgmq.meta") == 6


@pytest.mark.parametrize("cut", [0, 100, 0.5], ids=["empty", "head", "half"])
async def test_half_a_dump_changes_nothing(body: bytes, fresh_dsn: str, cut: float) -> None:
    part = body[: int(cut * len(body)) if cut < 1 else int(cut)]
    with pytest.raises(PostgresServerError, match=r"pg_restore ended with 1: .*(input|file)"):
        await load(find_binaries(), fresh_dsn, chunks(part))
    assert await ask(fresh_dsn, "select to_regclass('brands')") is None


async def test_what_failed_is_said(migrated_dsn: str, tmp_path: Path) -> None:
    with pytest.raises(PostgresServerError, match=r"pg_dump ended with 1: .*snapshot"):
        await dumped(migrated_dsn, "00000000-00000000-1")
    with pytest.raises(PostgresServerError, match="cannot be run"):
        await load(Binaries(tmp_path, "18.4"), migrated_dsn, chunks(b""))


async def test_a_reader_that_stops_ends_the_program(migrated_dsn: str) -> None:
    connection = await asyncpg.connect(migrated_dsn)
    async with connection.transaction(isolation="repeatable_read"):
        snapshot = await connection.fetchval("select pg_export_snapshot()")
        stream = dump(find_binaries(), migrated_dsn, snapshot=snapshot)
        assert await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
    await connection.close()
    running = (
        "select count(*) from pg_stat_activity "
        "where application_name = 'pg_dump' and datname = current_database()"
    )
    assert await ask(migrated_dsn, running) == 0
