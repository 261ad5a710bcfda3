"""Live status of tasks: the end of an export is told, whoever waits for it and since when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from msgspec import convert

from tests.support.api_server import Api, commit_pictures, running_worker, serving
from triptych.client.subscription import task_remote
from triptych.errors import LiveUnavailable
from triptych.tasks.task_store import Task, TaskState

PATIENCE_S = 60.0


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path, sweep_s=0.2) as opened:
        yield opened


async def test_who_waits_is_told_of_the_end_of_a_task(api: Api) -> None:
    url = api.url.replace("http", "ws", 1) + "/ws"
    await commit_pictures(api)
    submitted = (await api.post("/brands/nike/exports", json={"format": "csv"})).json
    waiting = asyncio.create_task(task_remote(url, UUID(submitted["id"])))
    await asyncio.sleep(0)
    assert not waiting.done()
    async with running_worker(api):
        ended = await asyncio.wait_for(waiting, PATIENCE_S)
    assert ended == convert((await api.get(f"/tasks/{submitted['id']}")).json, Task)
    assert (ended.state, ended.result["assets"]) == (TaskState.DONE, 6)
    again = await asyncio.wait_for(task_remote(url, UUID(submitted["id"])), PATIENCE_S)
    assert again == ended, "who comes late is told at once"


async def test_a_task_that_opened_a_run_is_told_and_over(api: Api) -> None:
    url = api.url.replace("http", "ws", 1) + "/ws"
    given = {"source": "manifest:/nowhere.csv"}
    submitted = (await api.post("/brands/nike/runs", json=given)).json
    told = await asyncio.wait_for(task_remote(url, UUID(submitted["id"])), PATIENCE_S)
    assert told.run_id == UUID(submitted["run"])
    with pytest.raises(LiveUnavailable, match="does not know task"):
        await task_remote(url, uuid4())
