"""What a running server does not notice itself is noticed, logged and mended."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from tests.support.data_folder import provide_cluster
from tests.support.embedded import DEADLINE_S, QUICK, alive, ask, ask_again, owner, socket_folder
from tests.support.waiting import until_true
from triptych.embedded import server as server_module
from triptych.embedded.data_folder import DataFolder
from triptych.embedded.server import EmbeddedPostgres
from triptych.embedded.sockets import LOCK_FILE, SOCKET, read_dsn

pytestmark = pytest.mark.integration

MENDED_WITHIN_S = 10.0


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A running server is looked at more often than every two seconds."""
    monkeypatch.setattr(server_module, "HEALTH_S", 0.1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a database of the test's own."""
    return provide_cluster(tmp_path / "data")


async def test_a_smart_shutdown_that_waits_for_sessions_is_ended(data: Path) -> None:
    with capture_logs() as lines:
        async with EmbeddedPostgres(data, extra=QUICK) as server:
            await ask(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
            assert server.pid is not None
            asked = server.pid
            pool = await asyncpg.connect(server.dsn)  # Smart: it is waited for, for ever.

            os.kill(asked, signal.SIGTERM)

            await until_true(lambda: not alive(asked), patience_s=MENDED_WITHIN_S)
            assert await ask_again(server.dsn, "SELECT answer FROM kept") == 42
            pool.terminate()
    because = [line["because"] for line in lines if line["event"] == "postgres_unreachable"]
    assert because == ["it was asked to shut down and waits for its sessions to end"]


def remove_socket(folder: Path) -> None:
    (folder / SOCKET).unlink()


def remove_lock_file(folder: Path) -> None:
    (folder / LOCK_FILE).unlink()


def replace_socket(folder: Path) -> None:
    (folder / SOCKET).unlink()
    (folder / SOCKET).touch()


@pytest.mark.parametrize("damage", [remove_socket, remove_lock_file, replace_socket, shutil.rmtree])
async def test_a_socket_that_was_removed_comes_back(
    data: Path, damage: Callable[[Path], None]
) -> None:
    with capture_logs() as lines:
        async with EmbeddedPostgres(data, extra=QUICK) as server:
            await ask(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
            folder = socket_folder(server.dsn)
            before = server.pid
            assert before is not None

            damage(folder)

            await until_true(lambda: not alive(before), patience_s=MENDED_WITHIN_S)
            assert await ask_again(server.dsn, "SELECT answer FROM kept") == 42
            assert (folder / SOCKET).is_socket()
    (because,) = (line["because"] for line in lines if line["event"] == "postgres_unreachable")
    assert because == f"its socket in {folder} was removed"


async def test_a_socket_that_is_removed_during_the_start_comes_back(data: Path) -> None:
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        folder = socket_folder(server.dsn)

    def remove_the_first() -> None:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            with suppress(FileNotFoundError):
                (folder / SOCKET).unlink()
                return

    removing = asyncio.create_task(asyncio.to_thread(remove_the_first))
    async with asyncio.timeout(DEADLINE_S):
        async with EmbeddedPostgres(data, extra=QUICK) as server:
            await removing
            assert await ask_again(server.dsn, "SELECT 1") == 1


async def test_a_former_server_of_the_path_takes_the_socket_along_when_it_ends(data: Path) -> None:
    """It does so some time after its data folder was deleted; here, after the new one started."""
    with owner(data) as process:
        assert process.stdout is not None
        former = int(process.stdout.readline())
        dsn = read_dsn(data)
        process.kill()
        process.wait()
    os.kill(former, signal.SIGSTOP)
    shutil.rmtree(data)
    DataFolder(data)
    with capture_logs() as lines:
        async with EmbeddedPostgres(data, extra=QUICK) as server:
            assert server.dsn == dsn
            before = server.pid
            assert before is not None

            os.kill(former, signal.SIGINT)
            os.kill(former, signal.SIGCONT)

            await until_true(lambda: not alive(former), patience_s=DEADLINE_S)
            await until_true(lambda: not alive(before), patience_s=DEADLINE_S)
            assert await ask_again(dsn, "SELECT 1") == 1
    (because,) = (line["because"] for line in lines if line["event"] == "postgres_unreachable")
    assert because == f"its socket in {socket_folder(dsn)} was removed"


async def test_the_address_is_written_again(data: Path) -> None:
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        (data / "postgres.dsn").unlink()
        await until_true((data / "postgres.dsn").exists, patience_s=MENDED_WITHIN_S)
        assert read_dsn(data) == server.dsn
        assert server.running()
