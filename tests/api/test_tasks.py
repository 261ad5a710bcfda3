"""Exports, deletions, re-embedding and webhooks, submitted over HTTP and done by a real worker."""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyarrow.parquet as pq
import pytest
import pytest_asyncio

from tests.support.api_server import (
    Api,
    check_described,
    commit_pictures,
    running_worker,
    serving,
)
from tests.support.local_pipeline import LOOPBACK
from tests.support.picture_server import Site, write_manifest
from tests.support.waiting import until
from triptych.api.webhooks import Deliveries, WebhookMade, Webhooks
from triptych.messages import AI_QUEUE, Headers, Message, dead_letter_queue
from triptych.model import RunState
from triptych.tasks.task_store import Task

PATIENCE_S = 60.0


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    options = {"fetch_allow": LOOPBACK, "sweep_s": 0.2}
    async with serving(migrated_dsn, tmp_path, **options) as opened, running_worker(opened):
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing(shared_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A server for requests that are all refused: none has a task for a worker."""
    folder = tmp_path_factory.mktemp("data")
    async with serving(shared_dsn, folder, fetch_allow=LOOPBACK) as opened:
        yield opened


async def done(api: Api, task: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end of a task."""
    reply = await until(
        lambda: api.get(f"/tasks/{task['id']}"), lambda reply: reply.json["ended_at"] is not None
    )
    check_described(Task, reply.json)
    return dict(reply.json)


async def exported(api: Api, kind: str) -> tuple[dict[str, Any], list[bytes]]:
    reply = await api.post("/brands/nike/exports", json={"format": kind})
    assert reply.status == 202
    task = await done(api, reply.json)
    assert task["state"] == "done", task
    files = []
    for file in task["result"]["files"]:
        got = await api.get(f"/tasks/{task['id']}/files/{file['name']}")
        assert (got.status, len(got.body)) == (200, file["size_bytes"])
        assert hashlib.sha256(got.body).hexdigest() == file["sha256"]
        assert got.headers["Content-Disposition"] == f'attachment; filename="{file["name"]}"'
        files.append(got.body)
    return task, files


async def test_a_snapshot_is_exported_and_its_files_fetched(api: Api) -> None:
    run_id = await commit_pictures(api)
    task, (parquet,) = await exported(api, "parquet")
    assert (task["result"]["run"], task["result"]["assets"]) == (str(run_id), 6)
    assert pq.read_table(io.BytesIO(parquet)).num_rows == 6
    _, (table,) = await exported(api, "csv")
    assert len(list(csv.DictReader(io.StringIO(table.decode())))) == 6
    _, shards = await exported(api, "webdataset")
    assert len(shards) == 1
    name = task["result"]["files"][0]["name"]
    part = await api.get(f"/tasks/{task['id']}/files/{name}", headers={"Range": "bytes=0-3"})
    assert (part.status, part.body) == (206, b"PAR1")
    for path in (f"/tasks/{task['id']}/files/other", f"/tasks/{uuid4()}/files/{name}"):
        assert (await api.get(path)).status == 404
    traversing = await api.get(f"/tasks/{task['id']}/files/..%2F{name}")
    assert traversing.status == 404


async def test_what_cannot_be_exported_is_told_at_once(api: Api) -> None:
    assert (await api.post("/brands/nike/exports", json={"format": "csv"})).status == 404
    await api.registry.schedule("nike", source=None, schedule=None)
    reply = await api.post("/brands/nike/exports", json={"format": "csv"})
    assert (reply.status, reply.json["reason"]) == (409, "conflict")
    assert (await api.post("/brands/nike/exports", json={"format": "xls"})).status == 422


async def test_a_key_makes_one_export(api: Api) -> None:
    await commit_pictures(api)
    key = {"Idempotency-Key": "once"}
    replies = await asyncio.gather(
        *(api.post("/brands/nike/exports", json={"format": "csv"}, headers=key) for _ in range(4))
    )
    assert len({reply.json["id"] for reply in replies}) == 1
    assert (await done(api, replies[0].json))["state"] == "done"


async def test_a_task_of_a_dead_letter_has_failed(api: Api) -> None:
    await commit_pictures(api)
    reply = await api.post("/brands/nike/exports", json={"format": "csv"})
    task = await done(api, reply.json)
    claim = task["id"]
    headers = Headers(task_id=UUID(claim)).encode()
    await api.queue.send(dead_letter_queue(AI_QUEUE), [Message({"brand": "nike"}, headers)])
    await until(lambda: api.get("/dead-letters"), lambda reply: reply.json["items"])
    assert (await api.get(f"/tasks/{claim}")).json["state"] == "done", "ended is ended"


async def test_a_deleted_brand_is_hidden_at_once_and_then_gone(api: Api) -> None:
    await commit_pictures(api)
    await commit_pictures(api, "adidas")
    active = await api.registry.open("nike", source="manifest:/nowhere.csv")
    reply = await api("DELETE", "/brands/nike")
    assert reply.status == 202
    again = await api("DELETE", "/brands/nike")
    assert again.status in {202, 404}
    task = await done(api, reply.json)
    assert task["state"] == "done"
    for path in ("/brands/nike", "/brands/nike/assets", f"/runs/{active.run.id}"):
        assert (await api.get(path)).status == 404, path
    assert [b["name"] for b in (await api.get("/brands")).json["items"]] == ["adidas"]
    assert (await api("DELETE", "/brands/nike")).status == 404
    audit = (await api.get("/audit")).json["items"]
    assert ("delete", "brand:nike") in {(event["action"], event["target"]) for event in audit}
    started = await api.post("/brands/nike/runs", json={"source": "manifest:/nowhere.csv"})
    assert started.status == 202, "its name is free again"


async def test_a_brand_is_embedded_anew_without_a_request(
    api: Api, site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 5)
    assert (await api.post("/brands/nike/reembed")).status == 404
    started = await api.post("/brands/nike/runs", json={"source": source})
    await done(api, started.json)
    hits = site.hits
    key = {"Idempotency-Key": "anew"}
    first = await api.post("/brands/nike/reembed", headers=key)
    assert first.status == 202
    task = await done(api, first.json)
    assert (task["kind"], task["state"]) == ("reembed", "done")
    run = await api.stores.runs.run(UUID(task["run"]))
    assert (run.state, run.kept, site.hits) == (RunState.COMMITTED, 5, hits)
    again = await api.post("/brands/nike/reembed", headers=key)
    assert again.json["run"] == task["run"]


async def test_webhooks_are_made_shown_without_secrets_and_removed(api: Api) -> None:
    given = {"url": "http://127.0.0.1:9/hook", "events": ["run.committed"], "brand": "nike"}
    made = await api.post("/webhooks", json=given)
    assert made.status == 201
    check_described(WebhookMade, made.json)
    secret = made.json.pop("secret")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    listed = (await api.get("/webhooks")).json
    check_described(Webhooks, listed)
    assert secret not in str(listed)
    hook = listed["items"][0]["id"]
    await commit_pictures(api)
    reply = await until(
        lambda: api.get(f"/webhooks/{hook}/deliveries"), lambda reply: reply.json["items"]
    )
    told = reply.json["items"]
    check_described(Deliveries, {"items": told})
    assert told[0]["event"] == "run.committed"
    assert (await api("DELETE", f"/webhooks/{hook}")).status == 204
    assert (await api("DELETE", f"/webhooks/{hook}")).status == 404
    assert (await api.get(f"/webhooks/{hook}/deliveries")).status == 404
    actions = [event["action"] for event in (await api.get("/audit")).json["items"]]
    assert actions == ["delete_webhook", "make_webhook"]


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("http://10.0.0.1/hook", "url"),
        ("http://169.254.169.254/latest", "url"),
        ("http://user:pass@hooks.example/", "url"),
        ("ftp://hooks.example/", "url"),
        ("http://hooks.example/", "events.0"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_g9_webhooks_that_would_never_be_told(refusing: Api, url: str, field: str) -> None:
    events = ["run.started"] if field.startswith("events") else ["run.committed"]
    reply = await refusing.post("/webhooks", json={"url": url, "events": events})
    assert (reply.status, reply.json["field"]) == (422, field)
