"""A start after any kill, whatever the processes of the one before are doing."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from tests.support.data_folder import provide_cluster
from tests.support.embedded import QUICK, alive, ask, children, owner
from tests.support.waiting import until, until_true
from triptych.embedded import shutdown, waits
from triptych.embedded.server import EmbeddedPostgres
from triptych.embedded.sockets import read_dsn

pytestmark = pytest.mark.integration

READY_WITHIN_S = 30.0
"""The recoveries here take less than a second, and force takes at most a few."""
ROWS = 400_000
"""Some 150 MB to recover: long enough for a start to find it under way."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a database of the test's own."""
    return provide_cluster(tmp_path / "data")


async def write_rows(connection: asyncpg.Connection) -> None:
    # Not in one transaction: what is written to a table made in the same one is not in the log.
    await connection.execute("CREATE TABLE kept (answer int, filler text)")
    await connection.execute(
        "INSERT INTO kept SELECT g, repeat('x', 300) FROM generate_series(1, $1::int) g", ROWS
    )


def startup_of(postmaster: int) -> int | None:
    """Return the process that recovers, while there is one."""
    titles = children(postmaster).items()
    return next((pid for pid, title in titles if ": startup" in title), None)


async def kill_with_a_session(data: Path) -> int:
    """Kill an owner and a session of its server, which then recovers; return the postmaster."""
    with owner(data) as process:
        assert process.stdout is not None
        postmaster = int(await asyncio.to_thread(process.stdout.readline))
        connection = await asyncpg.connect(read_dsn(data))
        await write_rows(connection)
        session = await connection.fetchval("SELECT pg_backend_pid()")
        process.kill()
        process.wait()
        os.kill(session, signal.SIGKILL)
        connection.terminate()
    return postmaster


async def test_g4_an_orphan_that_recovers_does_not_hold_the_start(data: Path) -> None:
    """A fast shutdown early in a recovery never ends, with Postgres 18.4."""
    postmaster = await kill_with_a_session(data)
    await until_true(lambda: startup_of(postmaster))

    async with asyncio.timeout(READY_WITHIN_S):
        async with EmbeddedPostgres(data, extra=QUICK) as server:
            assert await ask(server.dsn, "SELECT count(*) FROM kept") == ROWS
    assert not alive(postmaster)


async def test_g4_a_recovery_that_hangs_does_not_hold_the_start(data: Path) -> None:
    postmaster = await kill_with_a_session(data)
    startup = await until(lambda: asyncio.to_thread(startup_of, postmaster))
    assert startup is not None
    os.kill(startup, signal.SIGSTOP)

    async with asyncio.timeout(READY_WITHIN_S):
        async with EmbeddedPostgres(data, extra=QUICK) as server:
            assert await ask(server.dsn, "SELECT count(*) FROM kept") == ROWS
    assert not alive(startup)


@pytest.mark.parametrize("frozen", ["postmaster", "session"])
async def test_g4_a_frozen_process_does_not_hold_the_start_and_is_said(
    data: Path, frozen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen postmaster, or a frozen session of one that was killed."""
    monkeypatch.setattr(shutdown, "SESSIONS_S", 0.5)
    monkeypatch.setattr(shutdown, "IMMEDIATE_S", 0.5)
    monkeypatch.setattr(waits, "SAY_AFTER_S", 0.2)
    with owner(data) as process:
        assert process.stdout is not None
        postmaster = int(await asyncio.to_thread(process.stdout.readline))
        connection = await asyncpg.connect(read_dsn(data))
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        session = await connection.fetchval("SELECT pg_backend_pid()")
        process.kill()
        process.wait()
    os.kill(session if frozen == "session" else postmaster, signal.SIGSTOP)
    if frozen == "session":
        os.kill(postmaster, signal.SIGKILL)
    said: list[str] = []

    async with asyncio.timeout(READY_WITHIN_S):
        async with EmbeddedPostgres(data, extra=QUICK, say=said.append) as server:
            assert await ask(server.dsn, "SELECT answer FROM kept") == 42
    assert not alive(session)
    connection.terminate()
    if frozen == "postmaster":
        assert f"Waiting for Postgres (process {postmaster}) to stop" in said[0]


async def test_stopping_a_server_that_recovers_does_not_hang(data: Path) -> None:
    """As when `up` is stopped right after a session was killed."""
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        assert server.pid is not None
        postmaster = server.pid
        connection = await asyncpg.connect(server.dsn)
        await write_rows(connection)
        session = await connection.fetchval("SELECT pg_backend_pid()")
        os.kill(session, signal.SIGKILL)
        connection.terminate()
        await until_true(lambda: startup_of(postmaster))
        async with asyncio.timeout(READY_WITHIN_S):
            await server.stop()
    assert not alive(postmaster)


@pytest.mark.parametrize("content", ["", "\n\n", "garbage\0\n"], ids=["empty", "lines", "garbage"])
async def test_a_pid_file_without_a_pid_is_removed(data: Path, content: str) -> None:
    """A crash of the machine leaves one that was created and not yet written."""
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        await ask(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    (data / "postgres" / "postmaster.pid").write_text(content)

    with capture_logs() as lines:
        async with EmbeddedPostgres(data, extra=QUICK) as server:
            assert await ask(server.dsn, "SELECT answer FROM kept") == 42
    assert [line["event"] for line in lines] == ["postgres_pid_file_removed"]


async def test_an_orphan_whose_pid_file_was_emptied_is_still_found(data: Path) -> None:
    with owner(data) as process:
        assert process.stdout is not None
        orphan = int(await asyncio.to_thread(process.stdout.readline))
        process.kill()
        process.wait()
    (data / "postgres" / "postmaster.pid").write_text("")

    async with EmbeddedPostgres(data, extra=QUICK) as server:
        assert await ask(server.dsn, "SELECT 1") == 1
    assert not alive(orphan)
