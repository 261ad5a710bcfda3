"""A key that is limited to brands reads and changes these and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from tests.support.api_server import (
    Api,
    bearer,
    commit_pictures,
    pictures,
    serving,
)
from tests.support.description import described
from triptych.access import key_cache
from triptych.access.access_store import Scope
from triptych.access.identity import digest, new_token
from triptych.gather.urls import item_key
from triptych.model import KEY_BYTES
from triptych.snapshots.asset_ids import asset_id

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

MINE, OTHER = "nike", "adidas"
ASKED = {"/schedules/preview": "?cron=0+3+*+*+1"}
"""What reads have to be asked with."""
ABOUT_NONE = {
    *("/export-formats", "/me", "/phases", "/sources", "/schedules/preview?cron=0+3+*+*+1"),
}
"""What every key may read."""


@pytest.fixture(autouse=True)
def new_keys_are_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_cache, "MISS_REFRESH_S", 0.0)


async def limited(api: Api, *brands: str, scope: Scope = Scope.READER) -> dict[str, str]:
    """Create a key for some brands; return its header."""
    token = new_token()
    await api.stores.access.create_key(
        f"for-{'-'.join(brands)}-{scope}", scope, digest(token), brands=frozenset(brands)
    )
    return bearer(token)


def an_asset(brand: str) -> str:
    return asset_id(brand, item_key(next(iter(pictures(1, salt=brand)))))


@dataclass(frozen=True)
class Brands:
    """A server with a snapshot of each brand, and keys that are limited to one of them."""

    api: Api
    runs: dict[str, UUID]
    keys: dict[Scope, dict[str, str]]

    @property
    def reader(self) -> dict[str, str]:
        return self.keys[Scope.READER]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def brands(
    shared_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Brands]:
    """What the tests that only read have in common."""
    async with serving(shared_dsn, tmp_path_factory.mktemp("data")) as api:
        runs = {brand: await commit_pictures(api, brand) for brand in (MINE, OTHER)}
        keys = {scope: await limited(api, MINE, scope=scope) for scope in Scope}
        yield Brands(api, runs, keys)


async def test_every_read_of_another_brand_is_refused(brands: Brands) -> None:
    """Walks all reads that the API describes, so that a new one is tried, too."""
    api, runs, key = brands.api, brands.runs, brands.reader
    task = (await api.post(f"/brands/{OTHER}/exports", json={"format": "csv"})).json["id"]
    paths = described()["paths"]
    tried = 0
    for path, operations in paths.items():
        if "get" not in operations or not path.startswith("/api/v1/"):
            continue
        place = path.removeprefix("/api/v1").format(
            brand=OTHER,
            other=MINE,
            asset=an_asset(OTHER),
            run=runs[OTHER],
            snapshot=runs[OTHER],
            old=runs[OTHER],
            new=runs[OTHER],
            task=task,
            reason="not_found",
            name="assets.csv",
            webhook=uuid4(),
            upload=uuid4(),
            key="00" * KEY_BYTES,
        )
        place += ASKED.get(place, "")
        answer = await api.get(place, headers=key)
        if place in ABOUT_NONE:
            assert answer.status == 200, place
        elif place == "/brands":
            assert [brand["name"] for brand in answer.json["items"]] == [MINE]
        elif place == "/facets":
            mine = (await api.get(f"/brands/{MINE}/facets")).json
            assert answer.json["of"] == mine["of"] > 0
        else:
            assert (answer.status, answer.json["reason"]) == (403, "forbidden"), place
            assert OTHER not in answer.body.decode().replace(place, ""), place
            tried += 1
    assert tried >= 30


async def test_its_own_brand_is_read_as_by_any_key(brands: Brands) -> None:
    api, run, key = brands.api, brands.runs[MINE], brands.reader
    for path in (
        f"/brands/{MINE}",
        f"/brands/{MINE}/assets",
        f"/brands/{MINE}/facets",
        f"/brands/{MINE}/snapshots",
        f"/brands/{MINE}/insights",
        f"/brands/{MINE}/history",
        f"/assets/{an_asset(MINE)}",
        f"/assets/{an_asset(MINE)}/content",
        f"/runs/{run}",
        f"/runs/{run}/timeline",
        f"/runs?brand={MINE}",
        f"/search?q=shoe&brand={MINE}",
    ):
        answer, whole = await api.get(path, headers=key), await api.get(path)
        assert answer.status == whole.status != 403, path
    me = (await api.get("/me", headers=key)).json
    assert (me["brands"], me["expires_at"]) == ([MINE], None)


@pytest.mark.parametrize(
    "path",
    [
        "/runs",
        "/search?q=shoe",
        f"/runs?brand={OTHER}",
        f"/runs?brand={MINE}&brand={OTHER}",
        f"/runs?brand={OTHER}&brand={MINE}",
        f"/search?q=shoe&brand={OTHER}",
        f"/search?brand={MINE}&asset={an_asset(OTHER)}",
        f"/brands/{MINE}/compare/{OTHER}",
        f"/brands/{MINE}/nearest",
        "/brands/%61didas/assets",
        f"/brands//{OTHER}",
        f"/brands/{OTHER}/",
        "/tasks",
        "/audit",
        "/workers",
        "/queues",
        "/dead-letters",
        "/webhooks",
        "/settings",
    ],
)
async def test_what_is_not_about_its_brands_alone_is_refused(brands: Brands, path: str) -> None:
    for scope in Scope:
        answer = await brands.api.get(path, headers=brands.keys[scope])
        assert answer.status == 403
        assert answer.json["remedy"]


async def test_another_brands_snapshot_is_not_read_by_way_of_its_own(brands: Brands) -> None:
    mine, other = brands.runs[MINE], brands.runs[OTHER]
    for path in (
        f"/brands/{MINE}/snapshots/{other}",
        f"/brands/{MINE}/snapshots/{mine}/diff/{other}",
        f"/brands/{MINE}/snapshots/{other}/diff/{mine}/counts",
        f"/brands/{MINE}/assets?snapshot={other}",
        f"/assets/{an_asset(MINE)}?run={other}",
    ):
        answer = await brands.api.get(path, headers=brands.reader)
        assert answer.status in {403, 404}, path


async def test_an_operators_limited_key_changes_its_brands_only(
    migrated_dsn: str, tmp_path: Path
) -> None:
    async with serving(migrated_dsn, tmp_path) as api:
        runs = {
            brand: (
                await api.registry.open(brand, source="manifest:https://x.example/a.csv")
            ).run.id
            for brand in (MINE, OTHER)
        }
        key = await limited(api, MINE, scope=Scope.OPERATOR)
        both = {"action": "pause", "runs": [str(run) for run in runs.values()], "brands": [OTHER]}
        steered = (await api.post("/runs/bulk", headers=key, json=both)).json
        outcomes = [(item["run"], item["done"], item["reason"]) for item in steered["items"]]
        assert outcomes == [
            (str(runs[MINE]), True, None),
            (str(runs[OTHER]), False, "forbidden"),
            (None, False, "forbidden"),
        ]
        assert not (await api.stores.runs.run(runs[OTHER])).paused
        assert (await api.post(f"/runs/{runs[MINE]}/cancel", headers=key)).status == 202
        for method, path in (
            ("POST", f"/runs/{runs[OTHER]}/cancel"),
            ("POST", f"/brands/{OTHER}/runs"),
            ("PUT", f"/brands/{OTHER}"),
            ("DELETE", f"/brands/{OTHER}"),
            ("POST", "/dead-letters/redrive"),
            ("POST", "/webhooks"),
            ("DELETE", f"/webhooks/{uuid4()}"),
        ):
            answer = await api(method, path, headers=key, json={})
            assert (answer.status, answer.json["reason"]) == (403, "forbidden"), path
        assert (await api.stores.brands.brand(OTHER)).name == OTHER
        reader = await limited(api, MINE)
        assert (await api.post(f"/runs/{runs[MINE]}/pause", headers=reader)).status == 403
