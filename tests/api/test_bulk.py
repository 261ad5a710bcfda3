"""One action on many runs: each has its outcome, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.api_server import (
    Api,
    check_described,
    commit,
    commit_pictures,
    pictures,
    serving,
)
from triptych.api import run_bulk
from triptych.api.http import idempotency
from triptych.api.run_bulk import BULK_PATIENCE_S, BULK_RUNS_MAX, BulkResult

pytestmark = pytest.mark.integration

SOURCE = "manifest:https://x.example/list.csv"


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path) as opened:
        yield opened


async def bulk(api: Api, action: str, key: str | None = None, **named: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    reply = await api.post("/runs/bulk", json={"action": action, **named}, headers=headers)
    assert reply.status == 200, reply.json
    check_described(BulkResult, reply.json)
    return reply.json


async def opened(api: Api, *brands: str) -> list[str]:
    return [str((await api.registry.open(brand, source=SOURCE)).run.id) for brand in brands]


async def test_g13_each_run_has_its_outcome_and_nothing_is_silent(api: Api) -> None:
    one, two = await opened(api, "one", "two")
    over = str(await commit_pictures(api, "over"))
    gone = str(uuid4())
    await api.stores.brands.put_brand("never", source=None, schedule=None, due_at=None)
    result = await bulk(
        api, "cancel", runs=[one, over, gone, one], brands=["two", "one", "never", "unknown"]
    )
    assert (result["action"], result["done"], result["refused"]) == ("cancel", 2, 4)
    outcomes = [
        (item["run"], item["brand"], item["done"], item["reason"]) for item in result["items"]
    ]
    assert outcomes == [
        (one, "one", True, None),
        (over, "over", False, "conflict"),
        (gone, None, False, "run-not-found"),
        (two, "two", True, None),
        (None, "never", False, "brand-not-found"),
        (None, "unknown", False, "brand-not-found"),
    ]
    assert all(item["detail"] for item in result["items"] if not item["done"])
    for run in (one, two):
        assert (await api.get(f"/runs/{run}")).json["state"] == "cancelled"
    audit = (await api.get("/audit")).json["items"]
    assert [(entry["action"], entry["target"], entry["brand"]) for entry in audit] == [
        ("bulk_cancel", "runs", None),
        ("cancel", f"run:{two}", "two"),
        ("cancel", f"run:{one}", "one"),
    ]


async def test_a_repeated_request_has_one_effect_and_one_answer(api: Api) -> None:
    one, two = await opened(api, "one", "two")
    first, second = await asyncio.gather(
        *(bulk(api, "pause", "k1", runs=[one, two]) for _ in range(2))
    )
    assert first == second == await bulk(api, "pause", "k1", runs=[one, two])
    events = (await api.get(f"/runs/{one}/timeline")).json["items"]
    assert [event["kind"] for event in events].count("paused") == 1
    assert (await bulk(api, "resume", brands=["one", "two"]))["done"] == 2
    assert not (await api.get(f"/runs/{two}")).json["paused"]
    other = await api.post(
        "/runs/bulk", json={"action": "cancel", "runs": [one]}, headers={"Idempotency-Key": "k1"}
    )
    assert (other.status, other.json["reason"]) == (422, "idempotency-key-reused")


async def test_a_redrive_names_the_run_that_it_opens(api: Api) -> None:
    failed = await commit(api.stores, "nike", pictures(3), failed=2)
    whole = await commit(api.stores, "puma", pictures(3))
    result = await bulk(api, "redrive", runs=[str(failed.id), str(whole.id)])
    redriven, refused = result["items"]
    assert (redriven["done"], refused["done"], refused["reason"]) == (True, False, "conflict")
    assert (await api.get(f"/runs/{redriven['opened']}")).json["brand"] == "nike"


async def test_g3_what_a_request_has_no_time_for_is_named(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = await opened(api, "one")
    monkeypatch.setattr(run_bulk, "BULK_PATIENCE_S", 0.0)
    result = await bulk(api, "cancel", runs=[one])
    assert [(item["run"], item["reason"]) for item in result["items"]] == [(one, "not-reached")]
    assert (await api.get(f"/runs/{one}")).json["state"] == "active"


async def test_bad_requests_name_their_field(api: Api) -> None:
    for body, field in [
        ({"action": "explode"}, "action"),
        ({"action": "pause", "runs": ["x"]}, "runs.0"),
        ({"action": "pause", "runs": [str(uuid4())] * (BULK_RUNS_MAX + 1)}, "runs"),
        ({"action": "pause", "brands": ["a/b"]}, "brands.0"),
        ({"runs": []}, "action"),
    ]:
        refused = await api.post("/runs/bulk", json=body)
        assert (refused.status, refused.json["field"]) == (422, field)
    assert (await bulk(api, "pause"))["items"] == []
    read = await api.get("/runs/bulk")
    assert (read.status, read.headers["Allow"]) == (405, "POST")


def test_a_request_ends_before_its_claim_passes_to_another() -> None:
    assert BULK_PATIENCE_S + idempotency.WAIT_S < idempotency.STALE_S
