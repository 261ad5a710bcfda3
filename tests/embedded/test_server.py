"""The embedded Postgres against real processes: it starts, stops, and keeps what was committed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from structlog.testing import capture_logs

from tests.support.data_folder import provide_cluster
from tests.support.embedded import DEADLINE_S, QUICK, alive, ask, ask_again, owner
from tests.support.waiting import until, until_true
from triptych.embedded.data_folder import DataFolder
from triptych.embedded.errors import PostgresServerError
from triptych.embedded.postmaster import LOG_MAX_BYTES
from triptych.embedded.server import (
    MAX_RESTARTS,
    RESTART_MAX_S,
    RESTART_WINDOW_S,
    EmbeddedPostgres,
    read_dsn,
    restart_delay_s,
)

pytestmark = pytest.mark.integration

if TYPE_CHECKING:
    from tests.support.postgres import PostgresServer


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a database of the test's own."""
    return provide_cluster(tmp_path / "data")


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A data folder without a database."""
    return DataFolder(tmp_path / "data").path


# --- What was committed stays ----------------------------------------------------------------


async def test_g4_a_stop_and_a_start_keep_the_data(empty: Path) -> None:
    server = EmbeddedPostgres(empty, extra=QUICK)
    async with server:
        await ask(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        pid = server.pid
    assert not server.running()
    assert pid is not None
    assert not alive(pid)
    await server.stop()

    await server.start()
    await server.start()
    try:
        assert await ask(server.dsn, "SELECT answer FROM kept") == 42
    finally:
        await server.stop()


async def test_g4_nothing_that_a_commit_needs_is_switched_off(empty: Path) -> None:
    async with EmbeddedPostgres(empty) as server:
        for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert await ask(server.dsn, f"SHOW {name}") == "on"
        assert await ask(server.dsn, "SHOW server_encoding") == "UTF8"
        assert await ask(server.dsn, "SHOW TimeZone") == "UTC"
        assert await ask(server.dsn, "SHOW listen_addresses") == ""


COMPUTE = "DO $$ BEGIN FOR i IN 1..2000000000 LOOP PERFORM 1; END LOOP; END $$"


@pytest.mark.parametrize("session", ["SELECT pg_sleep(600)", COMPUTE], ids=["waits", "computes"])
async def test_g4_a_killed_postmaster_is_restarted_with_its_data(data: Path, session: str) -> None:
    """Also while a session computes, which does not notice that its postmaster is gone."""
    with capture_logs() as lines:
        async with EmbeddedPostgres(data, extra=QUICK) as server:
            await ask(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
            busy = asyncio.create_task(ask(server.dsn, session))
            running = f"SELECT count(*) > 0 FROM pg_stat_activity WHERE query = $q${session}$q$"
            await until(lambda: ask(server.dsn, running))
            killed = server.pid
            assert killed is not None

            os.kill(killed, signal.SIGKILL)

            with pytest.raises((OSError, asyncpg.PostgresError)):
                await busy
            assert await ask_again(server.dsn, "SELECT answer FROM kept") == 42
            assert server.running()
            assert server.pid != killed
    died = [line for line in lines if line["event"] == "postgres_died"]
    assert [line["code"] for line in died] == [-signal.SIGKILL]


async def test_g4_a_killed_owner_leaves_an_orphan_that_the_next_one_replaces(data: Path) -> None:
    with owner(data) as process:
        assert process.stdout is not None
        orphan = int(await asyncio.to_thread(process.stdout.readline))
        dsn = read_dsn(data)
        await ask(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        found = DataFolder(data).owner()
        assert found is not None
        assert found.pid == process.pid
        process.kill()
        process.wait()
    assert alive(orphan)
    assert DataFolder(data).owner() is None

    async with EmbeddedPostgres(data, extra=QUICK) as server:
        assert server.dsn == dsn
        assert not alive(orphan)
        assert await ask(server.dsn, "SELECT answer FROM kept") == 42


async def test_g4_owner_and_postmaster_killed_together(data: Path) -> None:
    with owner(data) as process:
        assert process.stdout is not None
        postmaster = int(await asyncio.to_thread(process.stdout.readline))
        dsn = read_dsn(data)
        await ask(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        computing = asyncio.create_task(ask(dsn, COMPUTE))
        running = "SELECT max(query) FROM pg_stat_activity WHERE query ~ '^DO'"
        await until(lambda: ask(dsn, running))
        process.kill()
        os.kill(postmaster, signal.SIGKILL)
        process.wait()

    async with EmbeddedPostgres(data, extra=QUICK) as server:
        assert await ask(server.dsn, "SELECT answer FROM kept") == 42
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await computing


async def test_an_owner_killed_inside_initdb_does_not_poison_the_folder(empty: Path) -> None:
    with owner(empty) as process:
        await until_true(lambda: any(empty.glob("postgres.new-*/PG_VERSION")))
        process.kill()
        process.wait()
    assert not (empty / "postgres").exists()

    async with EmbeddedPostgres(empty, extra=QUICK) as server:
        assert await ask(server.dsn, "SELECT 1") == 1
        assert list(empty.glob("postgres.new-*")) == []


async def test_a_recorded_pid_that_is_somebody_elses_now_is_left_alone(data: Path) -> None:
    """As after the restart of a container, where the same few pids come again."""
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        await ask(server.dsn, "SELECT 1")
    cluster = data / "postgres"
    account = cluster.stat()
    user, group = (account.st_uid, account.st_gid) if os.geteuid() == 0 else (None, None)
    with subprocess.Popen(["sleep", "600"], cwd="/", user=user, group=group) as stranger:
        try:
            pidfile = cluster / "postmaster.pid"
            pidfile.write_text(f"{stranger.pid}\n{cluster}\n1700000000\n5432\n/tmp\n\n1 1\nready\n")
            os.chown(pidfile, account.st_uid, account.st_gid)
            pidfile.chmod(0o600)

            async with EmbeddedPostgres(data, extra=QUICK) as server:
                assert await ask(server.dsn, "SELECT 1") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()


# --- Starting, stopping, giving up -----------------------------------------------------------


async def test_a_cancelled_start_leaves_no_process(data: Path) -> None:
    server = EmbeddedPostgres(data, extra=QUICK)
    starting = asyncio.create_task(server.start())
    await until_true(server.running)
    pid = server.pid
    assert pid is not None

    starting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not server.running()
    assert not alive(pid)


def test_ctrl_c_does_not_reach_the_server_before_its_clients_are_done(
    postgres_server: PostgresServer,
) -> None:
    pid = postgres_server.embedded.pid
    assert pid is not None
    assert os.getsid(pid) == pid


async def test_a_setting_it_refuses_is_one_line_with_the_log(data: Path) -> None:
    server = EmbeddedPostgres(data, extra={**QUICK, "shared_buffers": "many"})

    with pytest.raises(PostgresServerError, match=r"FATAL: .*shared_buffers.*postgres\.log\.$"):
        await server.start()
    assert not server.running()


async def test_a_cluster_that_vanishes_is_not_made_anew(data: Path) -> None:
    server = EmbeddedPostgres(data, extra=QUICK)
    await server.start()
    try:
        assert server.pid is not None
        (data / "postgres").rename(data / "elsewhere")
        os.kill(server.pid, signal.SIGKILL)

        with pytest.raises(PostgresServerError, match="is gone"):
            await asyncio.wait_for(server.watch(), DEADLINE_S)
        assert not (data / "postgres").exists()
    finally:
        await server.stop()


async def test_watching_ends_with_a_stop(data: Path) -> None:
    server = EmbeddedPostgres(data, extra=QUICK)
    await server.start()
    watching = asyncio.create_task(server.watch())
    await asyncio.sleep(0)

    await server.stop()

    await asyncio.wait_for(watching, DEADLINE_S)


@pytest.mark.parametrize("content", ["12\n", None], ids=["another version", "no cluster"])
async def test_a_folder_that_is_not_ours_is_refused_and_not_touched(
    empty: Path, content: str | None
) -> None:
    cluster = empty / "postgres"
    cluster.mkdir()
    (cluster / "precious").write_text("data")
    if content is not None:
        (cluster / "PG_VERSION").write_text(content)
    before = {path: path.stat() for path in (cluster, *cluster.iterdir())}

    with pytest.raises(PostgresServerError) as refused:
        await EmbeddedPostgres(empty).start()

    assert ("is not a Postgres cluster" if content is None else "Postgres 12") in str(refused.value)
    assert refused.value.remedy
    assert {path: path.stat() for path in (cluster, *cluster.iterdir())} == before


async def test_a_large_log_is_set_aside(data: Path) -> None:
    log = data / "log" / "postgres.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * (LOG_MAX_BYTES + 1))

    async with EmbeddedPostgres(data, extra=QUICK):
        assert log.stat().st_size < LOG_MAX_BYTES
    assert log.with_suffix(".log.1").stat().st_size == LOG_MAX_BYTES + 1


def test_restarts_back_off_and_are_capped_per_time() -> None:
    assert restart_delay_s([], 1000.0) < 1.0
    for count in range(MAX_RESTARTS):
        assert 0 < restart_delay_s([1000.0] * count, 1000.0) <= RESTART_MAX_S * 1.5
    full = [1000.0 + number for number in range(MAX_RESTARTS)]
    assert restart_delay_s(full, 1020.0) == pytest.approx(1000.0 + RESTART_WINDOW_S - 1020.0)
    assert restart_delay_s(full, 1000.0 + 2 * RESTART_WINDOW_S) < 1.0


async def test_other_processes_read_the_address(data: Path) -> None:
    with pytest.raises(PostgresServerError, match="triptych up"):
        read_dsn(data)
    with pytest.raises(PostgresServerError, match="not started"):
        _ = EmbeddedPostgres(data).dsn

    async with EmbeddedPostgres(data, extra=QUICK) as server:
        assert read_dsn(data) == server.dsn
