"""The items of a run over HTTP: what they wait for, trying them now, letting them go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from tests.support.api_server import Api, check_described, commit, pictures, running_worker, serving
from triptych.gather.urls import item_key
from triptych.live.watch import watch
from triptych.model import ItemResult, NewItem, Reason, RunState
from triptych.runs.item_store import STEERED_MAX, ItemCounts, RunItem
from triptych.tasks.task_store import Task

pytestmark = pytest.mark.integration

SIGNED = "https://me:s3cret@slow.example/0.png?sig=s3cret&v=1"


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path) as opened:
        yield opened


@dataclass(frozen=True)
class Waiting:
    """A server with an active run, and the keys of its items."""

    api: Api
    run_id: UUID
    keys: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def waiting(
    shared_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Waiting]:
    """What the tests that only read, or are refused, have in common."""
    async with serving(shared_dsn, tmp_path_factory.mktemp("data")) as opened:
        yield Waiting(opened, *await waiting_run(opened))


async def waiting_run(api: Api, count: int = 4) -> tuple[UUID, list[str]]:
    """A run listed in full whose first item failed once and waits; return the items' keys."""
    run_id = (await api.registry.open("nike", source="manifest:x")).run.id
    urls = [SIGNED, *(f"https://slow.example/{n}.png" for n in range(1, count))]
    items = [NewItem(item_key(url), url, {}) for url in urls]
    await api.stores.runs.expect(run_id, items, cursor=None, limit=count)
    await api.stores.runs.seal(run_id)
    await api.stores.runs.count_attempt(
        run_id,
        items[0].key,
        seen=0,
        delay_s=600,
        reason=Reason.SERVER_ERROR,
        detail=f"HTTP 500 of {SIGNED}",
    )
    return run_id, [item.key.hex() for item in items]


async def items(api: Api, run_id: UUID, **asked: Any) -> list[Any]:
    """Every item that passes, page by page."""
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        query = {key: str(value) for key, value in asked.items()} | cursor
        reply = await api.get(f"/runs/{run_id}/items", params=query)
        assert reply.status == 200, reply.body
        found += reply.json["items"]
        if reply.json["next"] is None:
            return found
        cursor = {"cursor": reply.json["next"]}


@pytest.mark.asyncio(loop_scope="module")
async def test_an_item_says_why_it_waits(waiting: Waiting) -> None:
    api, run_id, keys = waiting.api, waiting.run_id, waiting.keys
    found = await items(api, run_id, limit=3)
    assert [item["key"] for item in found] == keys
    for item in found:
        check_described(RunItem, item)
    first = found[0]
    assert (first["state"], first["reason"], first["attempts"]) == ("delayed", "server_error", 1)
    assert first["next_attempt_at"] > first["last_tried_at"]
    assert first["host"] == "slow.example"
    assert "s3cret" not in str(found)
    counts = (await api.get(f"/runs/{run_id}/items/counts")).json
    check_described(ItemCounts, counts)
    assert (counts["delayed"], counts["sent"], counts["pending"]) == (1, 3, 0)
    assert [host["delayed"] for host in counts["hosts"]] == [1]


@pytest.mark.asyncio(loop_scope="module")
async def test_items_are_found_by_url_and_filters(waiting: Waiting) -> None:
    api, run_id, keys = waiting.api, waiting.run_id, waiting.keys
    page = (
        await api.get(f"/runs/{run_id}/items", params={"url": " https://SLOW.example/2.png#top"})
    ).json
    assert [item["key"] for item in page["items"]] == [keys[2]], "as it is normalised"
    assert [item["key"] for item in await items(api, run_id, url="/2.PNG")] == [keys[2]]
    assert [item["key"] for item in await items(api, run_id, state="delayed")] == keys[:1]
    assert len(await items(api, run_id, host="Slow.Example", state="sent")) == 3
    assert [item["key"] for item in await items(api, run_id, reason="server_error")] == keys[:1]
    assert await items(api, run_id, host="other.example") == []
    assert await items(api, run_id, url="a\x00\x1b%") == await items(api, run_id, host="\x00") == []


async def test_retry_and_skip_are_tasks_with_their_counts(api: Api) -> None:
    run_id, keys = await waiting_run(api)
    key = {"Idempotency-Key": "k1"}
    body = {"keys": [*keys[:2], "00" * 16]}
    reply = await api.post(f"/runs/{run_id}/items/retry", json=body, headers=key)
    assert reply.status == 202
    check_described(Task, reply.json)
    assert (reply.json["kind"], reply.json["state"]) == ("retry_items", "done")
    assert reply.json["result"] == {"retried": 1, "left": {"sent": 1, "unknown": 1}}
    again = await api.post(f"/runs/{run_id}/items/retry", json=body, headers=key)
    assert again.body == reply.body
    skipped = (await api.post(f"/runs/{run_id}/items/skip", json={"keys": keys[:3]})).json
    assert (skipped["kind"], skipped["result"]) == ("skip_items", {"skipped": 3, "left": {}})
    run = (await api.get(f"/runs/{run_id}")).json
    assert (run["state"], run["failed"], run["out"]) == ("active", 3, 1)
    shown = (await api.get(f"/runs/{run_id}/failures")).json["items"]
    assert [(one["reason"], one["count"]) for one in shown] == [("skipped", 3)]
    audit = (await api.get("/audit")).json["items"]
    assert {entry["action"] for entry in audit} == {"retry_items", "skip_items"}
    assert {entry["target"] for entry in audit} == {f"run:{run_id}"}


async def test_a_worker_commits_what_an_operator_has_skipped_to_its_end(api: Api) -> None:
    await commit(api.stores, "nike", pictures(2))
    run_id, keys = await waiting_run(api, count=1)
    await api.post(f"/runs/{run_id}/items/skip", json={"keys": keys})
    async with running_worker(api):
        async for run in watch(api.stores.runs, api.stores.changes, run_id):
            ended = run
    # All that the snapshot had would go: a person decides, as after any other run.
    assert (ended.state, ended.reasons) == (RunState.HELD, {"skipped": 1})


async def test_failed_items_of_an_ended_run_are_retried_in_a_new_one(api: Api) -> None:
    run = await commit(api.stores, "nike", pictures(3), failed=2)
    failed = await items(api, run.id, state="failed")
    refused = await api.post(
        f"/runs/{run.id}/items/retry",
        json={"keys": [item["key"] for item in await items(api, run.id)]},
    )
    assert (refused.status, refused.json["reason"]) == (409, "conflict")
    assert "3 of the 5 items did not fail" in refused.json["detail"]
    assert (await api.post(f"/runs/{run.id}/items/skip", json={"keys": ["00" * 16]})).status == 409
    task = (await api.post(f"/runs/{run.id}/items/retry", json={"keys": [failed[0]["key"]]})).json
    assert (task["state"], task["result"]) == ("accepted", {"retried": 1})
    assert [item["url"] for item in await items(api, UUID(task["run"]))] == [failed[0]["url"]]


@pytest.mark.parametrize(
    "keys",
    [[], ["00"], ["zz" * 16], ["AA" * 16], ["00" * 16] * (STEERED_MAX + 1)],
    ids=["none", "short", "no-hex", "upper-case", "too-many"],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_keys_that_cannot_be_are_refused(waiting: Waiting, keys: list[str]) -> None:
    for verb in ("retry", "skip"):
        reply = await waiting.api.post(f"/runs/{waiting.run_id}/items/{verb}", json={"keys": keys})
        assert reply.status == 422
        assert "keys" in str(reply.json)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cursor_of_other_filters_is_refused(waiting: Waiting) -> None:
    api, run_id = waiting.api, waiting.run_id
    cursor = (await api.get(f"/runs/{run_id}/items", params={"limit": "2"})).json["next"]
    asked = {"cursor": cursor, "state": "sent"}
    assert (await api.get(f"/runs/{run_id}/items", params=asked)).status == 422


async def test_settled_elsewhere_an_item_is_left(api: Api) -> None:
    run_id, keys = await waiting_run(api)
    result = ItemResult(bytes.fromhex(keys[1]), None, Reason.NOT_FOUND, "404")
    await api.stores.runs.settle(run_id, [result], limit=0)
    reply = await api.post(f"/runs/{run_id}/items/skip", json={"keys": keys[:2]})
    assert reply.json["result"] == {"skipped": 1, "left": {"failed": 1}}
