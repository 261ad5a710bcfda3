"""One lasting owner of a database; commands join it, or run it only until it asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support.data_folder import provide_cluster
from tests.support.embedded import QUICK, ask
from tests.support.waiting import until, until_true
from triptych.embedded import ownership, waits
from triptych.embedded.data_folder import DataFolder
from triptych.embedded.errors import DataFolderInUse, PostgresServerError
from triptych.embedded.ownership import DatabaseUse, own, use
from triptych.embedded.server import EmbeddedPostgres

pytestmark = pytest.mark.integration


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a database of the test's own."""
    return provide_cluster(tmp_path / "data")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands here do not end by themselves, and every wait is said."""
    monkeypatch.setattr(ownership, "FINISH_S", 0.2)
    monkeypatch.setattr(waits, "SAY_AFTER_S", 0.0)


async def nothing(_dsn: str) -> None:
    """The schema needs no preparation."""


def maker(data: Path) -> Callable[[], EmbeddedPostgres]:
    return lambda: EmbeddedPostgres(data, extra=QUICK)


@asynccontextmanager
async def owning(data: Path, **options: Any) -> AsyncIterator[EmbeddedPostgres]:
    prepare = options.pop("prepare", nothing)
    async with own(DataFolder(data), maker(data), prepare, **options) as server:
        yield server


@asynccontextmanager
async def using(data: Path, **options: Any) -> AsyncIterator[DatabaseUse]:
    """Use the database as a command does: watched."""
    prepare = options.pop("prepare", nothing)
    async with use(DataFolder(data), maker(data), prepare, **options) as found:
        watching = asyncio.create_task(found.watch())
        try:
            yield found
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            if not watching.cancelled():
                watching.result()


async def answer(dsn: str) -> bool:
    try:
        return bool(await ask(dsn, "SELECT 1"))
    except (OSError, asyncpg.PostgresError):
        return False


def brief(data: Path) -> bool | None:
    owner = DataFolder(data).owner()
    return None if owner is None else owner.brief


async def test_a_command_runs_the_database_where_none_does(data: Path) -> None:
    async with using(data) as found:
        assert await ask(found.dsn, "SELECT 1") == 1
        assert brief(data) is True
    assert brief(data) is None
    assert not await answer(found.dsn)


async def test_a_command_joins_the_owner_and_leaves_it_running(data: Path) -> None:
    async with owning(data) as server:
        async with using(data) as found:
            assert found.dsn == server.dsn
            assert brief(data) is False
        assert await ask(server.dsn, "SELECT 1") == 1


async def test_a_command_waits_for_an_owner_that_starts(data: Path) -> None:
    prepared = asyncio.Event()
    said: list[str] = []

    async def prepare(_dsn: str) -> None:
        await prepared.wait()

    async def command() -> str:
        async with using(data, say=said.append) as found:
            return found.dsn

    async def server() -> None:
        async with owning(data, prepare=prepare):
            await asyncio.wait_for(asyncio.shield(waiting), 60)

    starting = asyncio.create_task(server())
    waiting = asyncio.create_task(command())
    await until_true(lambda: said)
    assert not waiting.done()

    prepared.set()

    assert await waiting
    await starting
    (line,) = said
    assert "to serve the database" in line
    assert "for at most 600 s" in line


async def test_a_command_gives_the_folder_up_to_an_owner_and_goes_on(data: Path) -> None:
    said: list[str] = []
    async with using(data) as found:
        await ask(found.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        async with owning(data, say=said.append) as server:
            assert brief(data) is False
            assert server.dsn == found.dsn
            assert await ask(found.dsn, "SELECT answer FROM kept") == 42
    (line,) = said
    assert line.startswith("Waiting for process ")
    assert f"to give up {data}, for at most 60 s." in line


async def test_a_command_that_starts_gives_the_folder_up_at_once(data: Path) -> None:
    prepared = asyncio.Event()

    async def prepare(_dsn: str) -> None:
        await prepared.wait()

    async def command() -> str:
        async with using(data, prepare=prepare) as found:
            return found.dsn

    starting = asyncio.create_task(command())
    await until_true(lambda: brief(data))

    async with owning(data) as server:
        assert await starting == server.dsn
    assert not prepared.is_set()


async def test_of_two_owners_that_wait_for_a_command_one_is_refused(data: Path) -> None:
    async def serve() -> bool:
        try:
            async with owning(data):
                await until(done.wait)
        except DataFolderInUse:
            done.set()
            return False
        return True

    done = asyncio.Event()
    async with using(data):
        assert sorted(await asyncio.gather(serve(), serve())) == [False, True]


async def test_an_owner_is_refused_by_another_that_starts(data: Path) -> None:
    async with owning(data):
        with pytest.raises(DataFolderInUse, match="in use by process"):
            async with owning(data):
                pass


async def test_a_command_that_does_not_give_up_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is frozen."""
    monkeypatch.setattr(ownership, "HAND_OVER_S", 0.5)
    frozen = DataFolder(data)
    frozen.acquire(brief=True)
    try:
        with pytest.raises(DataFolderInUse, match="in use by process"):
            async with owning(data):
                pass
    finally:
        frozen.release()


async def test_an_owner_that_never_serves_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "READY_S", 0.5)
    frozen = DataFolder(data)
    frozen.acquire()
    try:
        with pytest.raises(PostgresServerError, match=r"not ready after .* for process \d+ \("):
            async with using(data):
                pass
    finally:
        frozen.release()


async def test_a_child_of_an_owner_never_takes_its_place(data: Path) -> None:
    with pytest.raises(PostgresServerError, match="has ended"):
        async with using(data, may_own=False):
            pass
    assert brief(data) is None


async def test_a_guest_outlives_the_command_that_it_joined(data: Path) -> None:
    """The host waits a while for its guests; then one of them runs the database."""
    left = asyncio.Event()

    async def guest() -> None:
        async with using(data) as found:
            joined.set()
            await left.wait()
            await until(lambda: answer(found.dsn))
            assert brief(data) is True

    joined = asyncio.Event()
    async with using(data):
        working = asyncio.create_task(guest())
        await until(joined.wait)
        host = DataFolder(data).owner()
    assert host is not None
    left.set()
    await working


async def test_a_short_guest_is_not_cut_off(data: Path) -> None:
    """The host is done first, and stops only when its guest is done too."""

    async def guest() -> int:
        async with using(data) as found:
            joined.set()
            return int(await ask(found.dsn, "SELECT 1 FROM pg_sleep(1)"))

    joined = asyncio.Event()
    async with using(data):
        working = asyncio.create_task(guest())
        await until(joined.wait)
    assert await working == 1
