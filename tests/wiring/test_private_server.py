"""The application in one process with its client: reached by it alone, gone with it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.api_server import commit, settings_for
from tests.support.proof_size import at_full_size
from triptych.client import open_socket_client
from triptych.errors import BadInput, BrandNotFound, ServerUnavailable, SettingsError
from triptych.messages import Phase
from triptych.presence.presence_store import WorkerState
from triptych.wiring.private_server import open_private_server, serve_privately
from triptych.wiring.services import connect

pytestmark = pytest.mark.integration

ENDS_WITHIN_S = 10.0
UP_TO_MS = 30.0
"""After its start it is as before: what is closed earlier is still starting."""
CONTENTS = {"https://shop.example/1.png": (b"one", "image/png")}


async def test_only_this_account_reaches_the_socket_and_it_is_removed(
    migrated_dsn: str, tmp_path: Path
) -> None:
    # A server of these settings would ask for a key.
    settings = settings_for(migrated_dsn, tmp_path, api_host="0.0.0.0")
    async with open_private_server(settings) as path:
        folder = path.parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        async with open_socket_client(path) as client:
            assert await client.brands() == []
            with pytest.raises(BrandNotFound):
                await client.brand("nike")
    assert not folder.exists()


async def test_what_a_killed_one_left_is_removed(
    migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    dead, alive = (Path(tempfile.mkdtemp(prefix="triptych-", dir="/tmp")) for _ in range(2))
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(dead / "api.sock"))
        gone.close()
        listening.bind(str(alive / "api.sock"))
        listening.listen()
        for folder in (dead, alive):
            os.utime(folder, (1, 1))
        async with open_private_server(settings_for(migrated_dsn, tmp_path)):
            assert not dead.exists()
            assert alive.is_dir()
    shutil.rmtree(alive)


async def test_a_path_too_long_for_a_socket_is_avoided(
    migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    async with open_private_server(settings_for(migrated_dsn, tmp_path)) as path:
        assert not path.is_relative_to(long)
    monkeypatch.setattr("triptych.wiring.private_server.PATH_MAX_BYTES", 10)
    with pytest.raises(SettingsError, match="TMPDIR"):
        async with open_private_server(settings_for(migrated_dsn, tmp_path)):
            pass


async def test_files_are_not_named_to_workers_that_may_be_elsewhere(
    migrated_dsn: str, tmp_path: Path
) -> None:
    """The database is no embedded one: its workers may be on other machines."""
    listed = tmp_path / "listed"
    settings = settings_for(migrated_dsn, tmp_path / "data", source_folders=str(listed))
    async with open_private_server(settings) as path, open_socket_client(path) as client:
        with pytest.raises(BadInput, match="in no listed folder") as refused:
            await client.start("nike", source=f"manifest:{tmp_path}/urls.csv")
        assert "triptych run" in (refused.value.remedy or "")
        assert (await client.start("nike", source=f"manifest:{listed}/urls.csv")).brand == "nike"
    own = settings.model_copy(update={"source": f"manifest:{tmp_path}/urls.csv"})
    async with open_private_server(own) as path, open_socket_client(path) as client:
        assert (await client.start("adidas", source=own.source)).source == own.source


@pytest.mark.parametrize("step_ms", [1.5, pytest.param(0.25, marks=at_full_size)])
async def test_it_ends_at_whatever_moment_it_is_closed(
    migrated_dsn: str, tmp_path: Path, step_ms: float
) -> None:
    settings = settings_for(migrated_dsn, tmp_path)
    async with connect(settings, migrated_dsn) as services:

        async def open_for(seconds: float) -> None:
            async with serve_privately(services):
                await asyncio.sleep(seconds)

        for step in range(int(UP_TO_MS / step_ms)):
            async with asyncio.timeout(ENDS_WITHIN_S):
                await open_for(step * step_ms / 1000)


async def test_it_does_the_work_of_a_worker_where_there_is_none(
    migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(migrated_dsn, tmp_path)
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(connect(settings, migrated_dsn))
        await commit(services.stores, "nike", CONTENTS)
        path = await stack.enter_async_context(open_private_server(settings, stand_in=[Phase.AI]))
        client = await stack.enter_async_context(open_socket_client(path))
        task = await client.export("nike", "csv")
        (file,) = task.result["files"]
        await client.fetch_file(task.id, file["name"], tmp_path / "nike.csv")
        await client.delete_brand("nike")
        with pytest.raises(BrandNotFound):
            await client.brand("nike")
    assert (tmp_path / "nike.csv").stat().st_size == file["size_bytes"]


async def test_it_leaves_the_work_to_a_worker_that_is_there_and_waits_so_long(
    migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.client.connection.TASK_S", 1.0)
    settings = settings_for(migrated_dsn, tmp_path)
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(connect(settings, migrated_dsn))
        await commit(services.stores, "nike", CONTENTS)
        await services.stores.presence.beat(_worker(["ai"]), forget_s=60)
        path = await stack.enter_async_context(open_private_server(settings, stand_in=[Phase.AI]))
        client = await stack.enter_async_context(open_socket_client(path))
        with pytest.raises(ServerUnavailable, match="has not ended within 1 s"):
            await client.export("nike", "csv")


def _worker(phases: Sequence[str]) -> WorkerState:
    return WorkerState(uuid4(), "host", 1, "0", phases, {}, False, datetime.now(UTC))
