"""Immediate reads with a second database: what they answer, and what they say about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
import pytest_asyncio

from tests.support.api_server import (
    HOST,
    Api,
    Reply,
    bearer,
    commit,
    fill,
    pictures,
    serving,
    settings_for,
)
from tests.support.description import described
from triptych.access.access_store import Scope
from triptych.access.identity import digest, new_token
from triptych.errors import ReadsUnavailable
from triptych.gather.urls import item_key
from triptych.reads.behind import Lag
from triptych.reads.read_stores import NotProjected, ReadStores
from triptych.reads.reads import Projected, Reads
from triptych.snapshots.asset_ids import asset_id
from triptych.wiring import web_server
from triptych.wiring.immediate_reads import postgres_reads
from triptych.wiring.services import Services, connect

pytestmark = pytest.mark.integration

ASSET = asset_id("nike", item_key("https://x.example/0"))


class Second:
    """Stands for a second database: it has what Postgres has, until it does not.

    A store of the port that reads the same tables, so that any answer that differs is a defect of
    what is between the two.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked: list[str] = []
        self.lag: Lag | None = Lag({})
        self.reads: Reads | None = None

    def of(self, stores: ReadStores) -> ReadStores:
        names = ("brands", "runs", "snapshots", "facets", "maps")
        return ReadStores(
            **{name: cast("Any", _Store(self, getattr(stores, name))) for name in names}
        )

    async def behind(self) -> Lag | None:
        return self.lag


class _Store:
    """A store whose every method can fail."""

    def __init__(self, second: Second, store: Any) -> None:
        self._second = second
        self._store = store

    def __getattr__(self, name: str) -> Any:
        async def asked(*args: Any, **options: Any) -> Any:
            self._second.asked.append(name)
            if self._second.error is not None:
                raise self._second.error
            return await getattr(self._store, name)(*args, **options)

        return asked


@contextmanager
def with_second() -> Iterator[Second]:
    """Give servers that are started meanwhile a second database."""
    made = Second()

    @asynccontextmanager
    async def open_reads(services: Services, *, projected: bool = True) -> AsyncIterator[Reads]:
        stores = postgres_reads(services.stores)
        made.reads = Reads(stores, Projected(made.of(stores), made.behind) if projected else None)
        yield made.reads
        await made.reads.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web_server, "open_reads", open_reads)
        yield made


@pytest.fixture
def second() -> Iterator[Second]:
    """Servers that the test starts have a second database."""
    with with_second() as made:
        yield made


@pytest.fixture
async def api(second: Second, migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path) as opened:
        yield opened


@dataclass(frozen=True)
class Filled:
    """A server with a second database and some of everything, and the ids of its runs."""

    api: Api
    second: Second
    ids: dict[str, UUID]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    shared_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Filled]:
    with with_second() as second:
        async with serving(shared_dsn, tmp_path_factory.mktemp("data")) as api:
            yield Filled(api, second, await fill(api))


@pytest.fixture
def filled(shared: Filled) -> Filled:
    """What the tests that only read have in common, its second database as it was at first."""
    shared.second.error = None
    shared.second.lag = Lag({})
    shared.second.asked.clear()
    return shared


def paths(run: UUID) -> dict[str, UUID | None]:
    """Return every immediate read of snapshots, and the run that it says it is of."""
    return {
        "/brands": None,
        "/brands?limit=1&name=i": None,
        "/brands/nike": None,
        "/brands/nike/snapshots": None,
        f"/brands/nike/snapshots/{run}": run,
        "/brands/nike/assets": run,
        "/brands/nike/assets?text=about&limit=2": run,
        f"/brands/nike/assets?snapshot={run}": run,
        f"/assets/{ASSET}": run,
        f"/assets/{ASSET}?run={run}": run,
        "/brands/nike/insights": run,
        "/brands/nike/map": run,
        "/brands/nike/facets": run,
        "/brands/nike/facets?by=media_type&limit=1": run,
        "/facets": None,
    }


def said(reply: Reply) -> tuple[str | None, str | None]:
    return reply.headers.get("Snapshot"), reply.headers.get("Snapshot-Lag")


@pytest.mark.asyncio(loop_scope="module")
async def test_each_read_is_answered_by_the_second_database_alike(filled: Filled) -> None:
    api, second, run = filled.api, filled.second, filled.ids["new"]
    for path, of in paths(run).items():
        second.asked.clear()
        projected = await api.get(path)
        assert second.asked, path
        second.asked.clear()
        fresh = await api.get(f"{path}{'&' if '?' in path else '?'}fresh=true")
        assert not second.asked, path
        assert (projected.status, projected.body) == (200, fresh.body), path
        assert said(projected) == said(fresh) == (str(of) if of else None, None), path
        assert projected.headers.keys() == fresh.headers.keys(), path


@pytest.mark.asyncio(loop_scope="module")
async def test_postgres_answers_what_the_second_database_has_not(filled: Filled) -> None:
    await check_postgres_answers(filled.api, filled.second, filled.ids["new"], NotProjected())


async def test_postgres_answers_while_the_second_database_is_away(api: Api, second: Second) -> None:
    await check_postgres_answers(api, second, (await fill(api))["new"], ReadsUnavailable())


async def check_postgres_answers(api: Api, second: Second, run: UUID, error: Exception) -> None:
    """Fail unless each answer is the same after the second database has begun to fail."""
    before = {path: await api.get(path) for path in paths(run)}
    second.error = error
    for path, answer in before.items():
        again = await api.get(path)
        assert (again.status, again.body) == (200, answer.body), path
        assert said(again) == said(answer), path
    assert (await api.get("/readyz")).status == (await api.get("/healthz")).status == 200
    assert (await api.get("/brands/nobody/assets")).status == 404


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_says_how_far_it_is_behind(filled: Filled) -> None:
    api, second, run = filled.api, filled.second, filled.ids["new"]
    second.lag = Lag({"nike": 4.2, "puma": 9.0})
    for path, of in paths(run).items():
        lag = "5" if "nike" in path or "/assets/" in path else "9"
        assert said(await api.get(path)) == (str(of) if of else None, lag), path
    assert said(await api.get("/brands/nike/assets?fresh=true")) == (str(run), None)
    second.lag = None
    assert said(await api.get("/brands/nike/assets")) == (str(run), "unknown")
    second.lag = Lag({"adidas": 3.0})
    assert said(await api.get("/brands/nike/assets")) == (str(run), None)


async def test_a_walk_stays_on_its_snapshot_when_the_second_database_has_a_later_one(
    api: Api, second: Second
) -> None:
    old = await commit(api.stores, "nike", pictures(9))
    first = await api.get("/brands/nike/assets?limit=4")
    await commit(api.stores, "nike", pictures(3, salt="new"))
    second.error = NotProjected()
    seen, page = list(first.json["items"]), first
    while page.json["next"]:
        page = await api.get(f"/brands/nike/assets?limit=4&cursor={page.json['next']}")
        assert said(page) == (str(old.id), None)
        seen += page.json["items"]
    assert {asset["run"] for asset in seen} == {str(old.id)}
    assert len({asset["id"] for asset in seen}) == len(seen) == 9


async def test_a_walk_may_go_on_fresh(api: Api, second: Second) -> None:
    await commit(api.stores, "nike", pictures(5))
    for path in ("/brands/nike/assets", "/brands", "/brands/nike/snapshots"):
        await commit(api.stores, f"brand {len(second.asked)}", pictures(1))
        await commit(api.stores, "nike", pictures(5))
        page = (await api.get(f"{path}?limit=1")).json
        second.asked.clear()
        assert (await api.get(f"{path}?limit=1&fresh=1&cursor={page['next']}")).status == 200
        assert not second.asked


@pytest.mark.asyncio(loop_scope="module")
async def test_a_map_has_one_etag_wherever_it_is_read(filled: Filled) -> None:
    api, second, run = filled.api, filled.second, filled.ids["new"]
    drawn = await api.get("/brands/nike/map")
    known = {"If-None-Match": drawn.headers["ETag"]}
    for query in ("", "?fresh=true"):
        second.asked.clear()
        same = await api.get(f"/brands/nike/map{query}", headers=known)
        assert (same.status, same.body, said(same)) == (304, b"", (str(run), None))
        assert "points" not in second.asked


@pytest.mark.asyncio(loop_scope="module")
async def test_a_brand_that_was_deleted_is_not_shown(filled: Filled) -> None:
    api, second = filled.api, filled.second
    second.lag = Lag({"nike": None})
    second.asked.clear()
    assert said(await api.get("/brands"))[1] is None
    assert said(await api.get("/brands/nike"))[1] is None
    labels = 'triptych_reads_total{reason="not_projected",source="postgres"}'
    assert labels in (await api.get("/metrics")).body.decode()


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_not_read_from_the_second_database_takes_no_fresh(filled: Filled) -> None:
    api, ids = filled.api, filled.ids
    changes = f"/brands/nike/snapshots/{ids['old']}/diff/{ids['new']}"
    for path in ("/search?text=shoe&fresh=true", f"{changes}?fresh=true", "/runs?fresh=true"):
        assert (await api.get(path)).status == 422, path
    assert (await api.get("/brands/nike/assets?fresh=perhaps")).status == 422


async def test_a_key_of_one_brand_reads_no_other(
    second: Second, migrated_dsn: str, tmp_path: Path
) -> None:
    token, only = new_token(), frozenset({"nike"})
    async with connect(settings_for(migrated_dsn, tmp_path), migrated_dsn) as services:
        await services.stores.access.create_key("team", Scope.READER, digest(token), brands=only)
    async with serving(migrated_dsn, tmp_path, allowed_hosts=(HOST,)) as api:
        await fill(api)
        await commit(api.stores, "puma", pictures(2))
        headers = {**bearer(token), "Host": HOST}
        second.lag = Lag({"puma": 99.0, "nike": 1.0})
        for path in ("/brands/puma", "/brands/puma/assets", "/brands/puma/facets"):
            assert (await api.get(path, headers=headers)).status == 403
        second.asked.clear()
        listed = await api.get("/brands", headers=headers)
        assert [brand["name"] for brand in listed.json["items"]] == ["nike"]
        assert said(listed) == (None, "1"), "the lag of others is not theirs to know"
        assert second.asked == ["brands_slice", "covers"]


@pytest.mark.asyncio(loop_scope="module")
async def test_metrics_say_how_far_it_is_behind(filled: Filled) -> None:
    api, second = filled.api, filled.second
    second.lag = Lag({"nike": 4.2, "gone": None})
    shown = (await api.get("/metrics")).body.decode()
    assert "\ntriptych_reads_behind_brands 2.0\n" in shown
    assert "\ntriptych_reads_lag_seconds 4.2\n" in shown
    second.lag = None
    assert "\ntriptych_reads_behind_brands" not in (await api.get("/metrics")).body.decode()


async def test_a_burst_while_it_goes_away_has_no_error(api: Api, second: Second) -> None:
    await fill(api)
    burst = [asyncio.create_task(api.get("/brands/nike/assets?limit=2")) for _ in range(30)]
    await asyncio.sleep(0)
    second.error = ReadsUnavailable()
    burst += [asyncio.create_task(api.get("/brands/nike/assets?limit=2")) for _ in range(30)]
    assert {reply.status for reply in await asyncio.gather(*burst)} == {200}
    assert len({reply.body for reply in [task.result() for task in burst]}) == 1


def test_each_read_is_described_with_fresh_and_its_headers() -> None:
    paths = described()["paths"]
    with_fresh = {
        path
        for path, operations in paths.items()
        if any(each["name"] == "fresh" for each in operations.get("get", {}).get("parameters", ()))
    }
    of_snapshot = {
        "/brands": False,
        "/brands/{brand}": False,
        "/brands/{brand}/snapshots": False,
        "/brands/{brand}/snapshots/{snapshot}": True,
        "/brands/{brand}/assets": True,
        "/assets/{asset}": True,
        "/brands/{brand}/insights": True,
        "/brands/{brand}/map": True,
        "/brands/{brand}/facets": True,
        "/facets": False,
    }
    assert with_fresh == {f"/api/v1{path}" for path in of_snapshot}
    for path, is_one in of_snapshot.items():
        headers = paths[f"/api/v1{path}"]["get"]["responses"]["200"]["headers"]
        assert set(headers) == {"Snapshot-Lag", *(["Snapshot"] if is_one else [])}, path
