"""A run that goes well leaves a line for each of its steps, with what it counted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from tests.support.contracts.stores_contract import LIMIT, POLICY, new_items, open_run
from tests.support.local_pipeline import acquiring_at, ended, local_at
from tests.support.picture_server import Site, write_manifest
from tests.support.sealing import KEYS
from tests.support.waiting import until
from triptych.database.session import Database
from triptych.model import AiState, Reason
from triptych.telemetry.metrics import REGISTRY
from triptych.wiring.stores import postgres_stores

pytestmark = pytest.mark.integration


async def test_a_run_is_logged_from_its_opening_to_its_ai_phase(site: Site, tmp_path: Path) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 3)
    with capture_logs() as lines:
        async with local_at(tmp_path) as local:
            run = await ended(local, (await local.submit("nike", source=source)).id)
            await until(
                lambda: local.services.stores.runs.run(run.id),
                lambda run: run.ai_state is AiState.DONE,
            )
    told = {line["event"]: line for line in lines if line.get("run") == str(run.id)}
    assert [*told] == ["run_opened", "run_sealed", "gathered", "run_ended", "ai_done"]
    assert {line["brand"] for line in told.values()} == {"nike"}
    assert {line["log_level"] for line in told.values()} == {"info"}
    assert (told["gathered"]["rows"], told["gathered"]["expected"]) == (3, 3)
    counts = {"state": "committed", "done": 3, "failed": 0, "added": 3, "removed": 0}
    assert counts.items() <= told["run_ended"].items()
    assert told["ai_done"]["assets"] == 3
    assert told["run_sealed"]["expected"] == 3
    for event, name in (
        ("run_sealed", "seconds"),
        ("gathered", "seconds"),
        ("run_ended", "seconds"),
        ("run_ended", "commit_s"),
        ("ai_done", "seconds"),
    ):
        assert told[event][name] >= 0


async def test_a_run_that_fails_says_so(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with acquiring_at(tmp_path) as local:
            source = f"manifest:{tmp_path / 'no.csv'}"
            run = await ended(local, (await local.submit("nike", source=source)).id)
    (line,) = [line for line in lines if line["event"] == "run_ended"]
    assert (line["run"], line["state"], line["commit_s"]) == (str(run.id), "failed", None)


async def test_items_that_fail_without_work_are_counted(migrated_dsn: str) -> None:
    database = Database(migrated_dsn)
    stores = postgres_stores(database, run_cap_s=3600, keys=KEYS)
    before = {reason: failed(reason) for reason in ("invalid_url", "timed_out", "several")}
    try:
        run = (await open_run(stores)).run
        bad = [
            dataclasses.replace(item, refused=Reason.INVALID_URL, detail="no")
            for item in new_items(2, start=100)
        ]
        await stores.runs.expect(run.id, [*new_items(3), bad[0]], cursor=None, limit=LIMIT)
        await stores.runs.expect(run.id, [*new_items(3), *bad], cursor=None, limit=LIMIT)
        await stores.runs.expect(run.id, bad, cursor=None, limit=LIMIT)
        for _ in range(2):
            await stores.runs.expire(run.id)
        (stray,) = new_items(1)
        stray = dataclasses.replace(stray, refused=Reason.INVALID_URL)
        for _ in range(2):
            await stores.runs.accept_external(
                "adidas", stray, message_id="a/1", run_id=uuid4(), policy=POLICY
            )
    finally:
        await stores.close()
    added = {reason: failed(reason) - count for reason, count in before.items()}
    assert added == {"invalid_url": 2, "several": 1, "timed_out": 3}


def failed(reason: str) -> float:
    labels = {"outcome": "failed", "reason": reason}
    return REGISTRY.get_sample_value("triptych_items_total", labels) or 0.0
