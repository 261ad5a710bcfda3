"""Runs of all brands, found by what they are like."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support.api_server import Api, commit_pictures, serving
from triptych.runs.run_filter import RunFilter

pytestmark = pytest.mark.integration

SOURCE = "manifest:https://x.example/list.csv"


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path) as opened:
        yield opened


async def listed(api: Api, **query: Any) -> list[str]:
    """Return the brands of the runs of a listing that is read in pages of two."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        pairs = [
            (name, one)
            for name, value in {**query, "limit": 2, **cursor}.items()
            for one in (value if isinstance(value, list) else [value])
        ]
        page = (await api.get("/runs", params=pairs)).json
        found += [run["brand"] for run in page["items"]]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


async def test_runs_are_found_by_what_they_are_like(api: Api) -> None:
    await commit_pictures(api, "done")
    runs: dict[str, UUID] = {}
    for brand in ("stopped", "quiet", "active"):
        runs[brand] = (await api.registry.open(brand, source=SOURCE)).run.id
    await api.registry.cancel(runs["stopped"])
    opened = (await api.get(f"/runs/{runs['quiet']}")).json["created_at"]
    every = ["active", "quiet", "stopped", "done"]
    assert await listed(api) == every
    assert await listed(api, brand="quiet") == ["quiet"]
    assert await listed(api, state="active") == ["active", "quiet"]
    assert await listed(api, state=["cancelled", "committed"]) == ["stopped", "done"]
    assert await listed(api, kind=["add", "reembed"]) == []
    assert await listed(api, kind=["add", "full"]) == every
    assert await listed(api, since=opened) == ["active", "quiet"]
    assert await listed(api, until=opened) == ["stopped", "done"]
    assert await listed(api, stalled="true") == []
    assert await listed(api, held="true", stalled="true") == []


async def test_a_cursor_belongs_to_its_filters(api: Api) -> None:
    for brand in ("a", "b"):
        await api.registry.open(brand, source=SOURCE)
    first = (await api.get("/runs", params={"limit": 1, "state": "active"})).json["next"]
    other = await api.get("/runs", params={"limit": 1, "state": "failed", "cursor": first})
    assert (other.status, other.json["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "gone"),
        ("kind", "half"),
        ("since", "yesterday"),
        ("since", "0.5"),
        ("until", "2026-01-01T00:00:00"),
    ],
)
async def test_what_is_no_filter_is_refused_by_its_name(api: Api, name: str, value: str) -> None:
    refused = await api.get("/runs", params={name: value})
    assert refused.status == 422
    assert refused.json["field"].startswith(name)


def test_g13_stalled_and_held_are_either() -> None:
    """Both are asked for by who looks for what does not go on by itself."""
    assert {state.value for state in RunFilter(stalled=True, held=True).wanted_states} == {
        "active",
        "held",
    }
