"""A brand's history: all that happened to it, in one order; and schedules in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_server import (
    Api,
    bearer,
    check_described,
    commit_pictures,
    serving,
    serving_with_keys,
)
from triptych.api.history import History
from triptych.api.schedules import SchedulePreview

pytestmark = pytest.mark.integration

SOURCE = "manifest:https://x.example/list.csv"


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path) as opened:
        yield opened


async def history(api: Api, brand: str, limit: int = 50) -> list[Any]:
    """Return a history that is read in pages."""
    entries: list[Any] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = (await api.get(f"/brands/{brand}/history", params=query)).json
        check_described(History, page)
        entries += page["items"]
        if page["next"] is None:
            return entries
        query["cursor"] = page["next"]


def said(entry: Any) -> tuple[str, str | None]:
    return entry["kind"], entry["action"] and entry["action"]["action"]


async def test_runs_snapshots_and_actions_are_in_one_order(api: Api) -> None:
    first = str(await commit_pictures(api, "nike"))
    await commit_pictures(api, "other")
    await api("PUT", "/brands/nike", json={"source": SOURCE, "schedule": "0 3 * * 1"})
    started = (await api.post("/brands/nike/runs")).json["run"]
    await api.post(f"/runs/{started}/pause")
    await api.post(f"/runs/{started}/cancel")
    entries = await history(api, "nike")
    assert [said(entry) for entry in entries] == [
        ("action", "cancel"),
        ("cancelled", None),
        ("action", "pause"),
        ("action", "start"),
        ("opened", None),
        ("action", "put_brand"),
        ("committed", None),
        ("opened", None),
    ]
    assert [entry["at"] for entry in entries] == sorted(
        (entry["at"] for entry in entries), reverse=True
    )
    runs = [entry["run"] and entry["run"]["id"] for entry in entries]
    assert runs == [started] * 5 + [None] + [first] * 2
    assert entries[5]["schedule_words"] == "At 03:00 on Monday (UTC)"
    assert await history(api, "nike", limit=1) == entries
    assert await history(api, "nike", limit=3) == entries
    second = str(await commit_pictures(api, "nike"))
    assert await api.stores.retention.collect_snapshots(keep=1, min_age_s=0) == 1
    newest = (await history(api, "nike"))[:3]
    assert [(entry["kind"], entry["run"]["id"]) for entry in newest] == [
        ("removed", first),
        ("committed", second),
        ("opened", second),
    ]


async def test_only_operators_read_what_operators_did(migrated_dsn: str, tmp_path: Path) -> None:
    async with serving_with_keys(migrated_dsn, tmp_path) as (api, tokens):
        await commit_pictures(api, "nike")
        operator, reader = (bearer(tokens[name]) for name in ("operator", "reader"))
        await api("PUT", "/brands/nike", json={"source": SOURCE}, headers=operator)
        whole = (await api.get("/brands/nike/history", headers=operator)).json
        assert ([said(entry)[0] for entry in whole["items"]], whole["actions"]) == (
            ["action", "committed", "opened"],
            True,
        )
        part = (await api.get("/brands/nike/history", headers=reader)).json
        assert ([said(entry)[0] for entry in part["items"]], part["actions"]) == (
            ["committed", "opened"],
            False,
        )


async def test_a_history_is_of_a_brand_that_there_is(api: Api) -> None:
    missing = await api.get("/brands/nobody/history")
    assert (missing.status, missing.json["reason"]) == (404, "brand-not-found")


async def test_a_schedule_is_previewed_before_it_is_set(api: Api) -> None:
    shown = (await api.get("/schedules/preview", params={"cron": "0 3 * * 1"})).json
    check_described(SchedulePreview, shown)
    assert shown["words"] == "At 03:00 on Monday (UTC)"
    times = [datetime.fromisoformat(time) for time in shown["next"]]
    assert [(time.weekday(), time.hour, time.tzinfo) for time in times] == [(0, 3, UTC)] * 3
    assert times[0] > datetime.now(UTC)
    await api("PUT", "/brands/nike", json={"source": SOURCE, "schedule": "0 3 * * 1"})
    brand = (await api.get("/brands/nike")).json
    assert (brand["schedule_words"], brand["next_runs"]) == (shown["words"], shown["next"])
    assert brand["next_runs"][0] == brand["due_at"]
    await api("PUT", "/brands/nike", json={"source": SOURCE})
    brand = (await api.get("/brands/nike")).json
    assert (brand["schedule_words"], brand["next_runs"]) == (None, [])


async def test_what_is_no_schedule_says_why(api: Api) -> None:
    for cron in ("0 3 * *", "nightly", "0 99 * * *"):
        refused = await api.get("/schedules/preview", params={"cron": cron})
        assert (refused.status, refused.json["reason"]) == (422, "invalid-schedule")
        assert refused.json["remedy"]
