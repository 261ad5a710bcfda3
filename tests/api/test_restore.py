"""Older snapshots by the API: opened, compared, and restored as a commit like any other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.api_server import (
    Api,
    bearer,
    check_described,
    commit,
    create_keys,
    pictures,
    put_objects,
    running_worker,
    serving,
)
from tests.support.object_damage import DAMAGES
from tests.support.waiting import until
from triptych.messages import GATHER_QUEUE, URL_QUEUE, Message
from triptych.model import AiState, RunKind, RunState
from triptych.runs.run_shown import RunShown
from triptych.snapshots.asset_ids import asset_id
from triptych.snapshots.snapshot_shown import SnapshotShown
from triptych.snapshots.snapshot_store import DifferenceCounts
from triptych.tasks.task_store import Task

PATIENCE_S = 30.0


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path) as opened:
        yield opened


async def two_snapshots(api: Api) -> tuple[UUID, UUID]:
    """Commit six pictures, then two of them and another one at the third's URL."""
    six = pictures(6)
    three = {**pictures(2), "https://x.example/2": (b"other bytes", "image/png")}
    await put_objects(api.services.settings, {**six, "other": three["https://x.example/2"]})
    old = await commit(api.stores, "nike", six)
    return old.id, (await commit(api.stores, "nike", three)).id


async def ended(api: Api, run: str) -> Any:
    async def shown() -> Any:
        return (await api.get(f"/runs/{run}")).json

    return await until(shown, lambda found: found["over"], patience_s=PATIENCE_S)


async def test_an_older_snapshot_is_opened_compared_and_shown(api: Api) -> None:
    old, new = await two_snapshots(api)
    assets = (await api.get(f"/brands/nike/assets?snapshot={old}")).json["items"]
    assert (len(assets), {asset["run"] for asset in assets}) == (6, {str(old)})
    first = (await api.get(f"/brands/nike/assets?snapshot={old}&limit=4")).json
    rest = await api.get(f"/brands/nike/assets?snapshot={old}&limit=4&cursor={first['next']}")
    assert first["items"] + rest.json["items"] == assets
    mixed = await api.get(f"/brands/nike/assets?limit=4&cursor={first['next']}")
    assert (mixed.status, mixed.json["reason"]) == (422, "invalid-cursor")
    assert len((await api.get("/brands/nike/assets")).json["items"]) == 3
    assert len((await api.get(f"/brands/nike/assets?snapshot={new}")).json["items"]) == 3

    shown = (await api.get(f"/brands/nike/snapshots/{old}")).json
    check_described(SnapshotShown, shown)
    assert (shown["assets"], shown["current"], shown["kind"]) == (6, False, "full")
    counts = (await api.get(f"/brands/nike/snapshots/{old}/diff/{new}/counts")).json
    check_described(DifferenceCounts, counts)
    assert counts == {"added": 0, "removed": 3, "changed": 1, "kept": 2, "other_model": 0}
    back = (await api.get(f"/brands/nike/snapshots/{new}/diff/{old}/counts")).json
    assert back == {"added": 3, "removed": 0, "changed": 1, "kept": 2, "other_model": 0}
    listed = (await api.get(f"/brands/nike/snapshots/{old}/diff/{new}")).json["items"]
    kinds = [change["change"] for change in listed]
    assert (kinds.count("removed"), kinds.count("changed"), len(kinds)) == (3, 1, 4)


async def test_what_is_no_snapshot_of_the_brand_is_not_found(api: Api) -> None:
    old, new = await two_snapshots(api)
    other = (await commit(api.stores, "adidas", pictures(1))).id
    for path in (
        f"assets?snapshot={other}",
        f"assets?snapshot={uuid4()}",
        f"snapshots/{other}",
        f"snapshots/{other}/diff/{new}/counts",
    ):
        reply = await api.get(f"/brands/nike/{path}")
        assert (reply.status, reply.json["reason"]) == (404, "run-not-found"), path
    await api.stores.retention.collect_snapshots(keep=1, min_age_s=0)
    for path in (f"assets?snapshot={old}", f"snapshots/{old}/diff/{new}/counts"):
        reply = await api.get(f"/brands/nike/{path}")
        assert (reply.status, reply.json["reason"]) == (410, "snapshot-collected"), path
    gone = await api.post(f"/brands/nike/snapshots/{old}/restore")
    assert (gone.status, gone.json["reason"]) == (410, "snapshot-collected")


async def test_a_restore_is_a_commit_like_any_other(api: Api) -> None:
    old, new = await two_snapshots(api)
    key = {"Idempotency-Key": "back"}
    path = f"/brands/nike/snapshots/{old}/restore"
    replies = await asyncio.gather(*(api.post(path, headers=key) for _ in range(4)))
    assert {reply.status for reply in replies} == {202}
    assert len({reply.body for reply in replies}) == 1
    task = replies[0].json
    check_described(Task, task)
    assert (task["kind"], task["brand"], task["result"]) == ("restore", "nike", {"opened": True})
    opened = (await api.get(f"/runs/{task['run']}")).json
    check_described(RunShown, opened)
    assert (opened["kind"], opened["restores"], opened["state"]) == ("restore", str(old), "active")
    assert opened["source"] is None, "none is read"
    joined = (await api.post(path)).json
    assert (joined["run"], joined["result"]) == (task["run"], {"opened": False})
    for other in (f"/brands/nike/snapshots/{new}/restore", "/brands/nike/runs"):
        refused = await api.post(other)
        assert (refused.status, refused.json["reason"]) == (409, "run-active")
        assert refused.json["run"] == task["run"]
    # A URL that comes meanwhile is for the run after it.
    message = Message(
        {"brand": "nike", "url": "https://x.example/later", "metadata": {}}, {}, "nike"
    )
    await api.queue.send(URL_QUEUE, [message])
    async with running_worker(api):
        run = await ended(api, task["run"])
        assert (run["state"], run["ai_state"]) == ("committed", "done")
        counts = {name: run[name] for name in ("added", "kept", "changed", "removed", "expected")}
        assert counts == {"added": 3, "kept": 2, "changed": 1, "removed": 0, "expected": 0}
        assets = (await api.get(f"/brands/nike/assets?snapshot={task['run']}")).json["items"]
        was = (await api.get(f"/brands/nike/assets?snapshot={old}")).json["items"]
        assert [{**asset, "run": str(old)} for asset in assets] == was

        async def newest() -> Any:
            return (await api.get("/brands/nike")).json["latest"]

        later = await until(newest, lambda found: found["kind"] == "add", patience_s=PATIENCE_S)
        assert later["id"] != task["run"]
        await api.registry.cancel(UUID(later["id"]))
    restored, *_ = (await api.get("/brands/nike/snapshots")).json["items"]
    assert (restored["run"], restored["restores"]) == (task["run"], str(old))
    assert (await api.get(f"/tasks/{task['id']}")).json["state"] == "done"
    assert (await api.post(path, headers=key)).body == replies[0].body
    insights = (await api.get("/brands/nike/insights")).json
    assert (insights["run"], insights["ai_state"]) == (task["run"], "done")


async def test_a_restore_that_cannot_be_names_what_is_in_its_way(api: Api) -> None:
    old, new = await two_snapshots(api)
    current = await api.post(f"/brands/nike/snapshots/{new}/restore")
    assert (current.status, current.json["reason"]) == (409, "conflict")
    assert "nothing to restore" in current.json["detail"]
    held = await commit(api.stores, "nike", {})
    assert held.state is RunState.HELD
    refused = await api.post(f"/brands/nike/snapshots/{old}/restore")
    assert (refused.status, refused.json["reason"]) == (409, "run-active")
    assert refused.json["run"] == str(held.id)
    assert "nothing would remain" in refused.json["detail"]
    unknown = await api.post(f"/brands/nobody/snapshots/{old}/restore")
    assert (unknown.status, unknown.json["reason"]) == (404, "brand-not-found")
    keys = await create_keys(api)
    headers = bearer(keys["reader"])
    forbidden = await api.post(f"/brands/nike/snapshots/{old}/restore", headers=headers)
    assert forbidden.status == 403


@pytest.mark.parametrize("damaged", [False, True])
async def test_g6_a_snapshot_that_has_lost_an_object_is_not_restored(
    api: Api, damaged: bool
) -> None:
    old, new = await two_snapshots(api)
    asset = (await api.stores.snapshots.assets(old, after=None, limit=6))[-1]
    place = api.services.settings.data / "objects" / asset.object_key
    if damaged:
        place.write_bytes(DAMAGES["flipped"](place.read_bytes()))
        assert (
            await api.get(f"/assets/{asset_id('nike', asset.key)}/content?run={old}")
        ).status == 404
    else:
        place.unlink()
    task = (await api.post(f"/brands/nike/snapshots/{old}/restore")).json
    async with running_worker(api):
        run = await ended(api, task["run"])
    assert (run["state"], run["ai_state"]) == ("failed", AiState.NONE)
    assert "objects_missing: 1 of 6 assets" in run["reason"]
    assert asset.url in run["reason"]
    assert (await api.get("/brands/nike")).json["current_run"] == str(new)
    assert (await api.get(f"/tasks/{task['id']}")).json["state"] == "failed"
    again = await api.post(f"/runs/{run['id']}/redrive")
    assert (again.status, "is a restore" in again.json["detail"]) == (409, True)


async def test_g2_a_gather_message_of_a_restore_that_comes_twice_commits_once(api: Api) -> None:
    old, _ = await two_snapshots(api)
    task = (await api.post(f"/brands/nike/snapshots/{old}/restore")).json
    run = await api.stores.runs.run(UUID(task["run"]))
    (owed,) = await api.queue.receive(GATHER_QUEUE, limit=1, visibility_s=1, wait_s=PATIENCE_S)
    await api.queue.send(GATHER_QUEUE, [Message(owed.body, owed.headers, "nike")] * 2)
    async with running_worker(api):
        assert (await ended(api, task["run"]))["state"] == "committed"
    events = await api.stores.runs.timeline(run.id, after=0, limit=99)
    assert [event.kind for event in events].count("committed") == 1
    runs = await api.stores.runs.runs("nike", limit=99)
    assert [each.kind for each in runs].count(RunKind.RESTORE) == 1
