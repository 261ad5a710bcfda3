"""A real server with a real MongoDB beside its Postgres: filled, away, and back."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.api_server import Api, commit, fill, pictures, serving
from tests.support.mongodb import SERVER_GOES_AWAY, MongoServer, new_database
from tests.support.waiting import until
from triptych.gather.urls import item_key
from triptych.model import Insight
from triptych.reads import availability
from triptych.reads.mongo.connection import MongoConnection
from triptych.reads.mongo.mongo_projection import MongoProjection
from triptych.reads.reads import ANSWER_S
from triptych.snapshots.asset_ids import asset_id
from triptych.workers.projector import Projector

pytestmark = [pytest.mark.integration, *SERVER_GOES_AWAY]

ASSET = asset_id("nike", item_key("https://x.example/0"))
PATIENCE_S = 30.0
SLACK_S = 1.5
"""Seconds beyond what has to be waited for: the machine is shared."""


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    with MongoServer(tmp_path_factory.mktemp("mongodb")) as server:
        yield server


@dataclass(frozen=True)
class Away:
    """A server that a test may stop, and a database on it that is its own."""

    server: MongoServer
    url: str


@pytest.fixture
def away(one_server: MongoServer) -> Iterator[Away]:
    with new_database(one_server.url) as url:
        yield Away(one_server, url)
        if not one_server.answers():
            one_server.start()


@asynccontextmanager
async def projecting(api: Api, url: str) -> AsyncIterator[Projector]:
    connection = MongoConnection(url)
    yield Projector(api.stores.projections, MongoProjection(connection))
    await connection.close()


async def answered_by_mongodb(api: Api) -> int:
    """Return how many reads MongoDB has answered."""
    shown = (await api.get("/metrics")).body.decode()
    found = re.search(
        r'^triptych_reads_total\{reason="projected",source="mongodb"\} (\S+)$', shown, re.MULTILINE
    )
    return int(float(found[1])) if found else 0


async def is_answered_by_mongodb(api: Api, path: str) -> bool:
    before = await answered_by_mongodb(api)
    assert (await api.get(path)).status == 200
    return await answered_by_mongodb(api) > before


def paths(run: UUID) -> list[str]:
    return [
        "/brands",
        "/brands?limit=1&name=I",
        "/brands?state=committed",
        "/brands/nike",
        "/brands/nike/snapshots",
        f"/brands/nike/snapshots/{run}",
        "/brands/nike/assets",
        "/brands/nike/assets?text=ABOUT&limit=2",
        "/brands/nike/assets?media_type=image/*&limit=3",
        "/brands/nike/assets?size=small&shape=square",
        f"/assets/{ASSET}",
        "/brands/nike/insights",
        "/brands/nike/map",
        "/brands/nike/facets",
        "/brands/nike/facets?by=media_type&limit=1",
        "/facets",
    ]


async def test_every_read_is_answered_by_mongodb_as_by_postgres(
    migrated_dsn: str, mongodb_url: str, tmp_path: Path
) -> None:
    async with (
        serving(migrated_dsn, tmp_path, reads_url=mongodb_url) as api,
        projecting(api, mongodb_url) as projector,
    ):
        run = (await fill(api))["new"]
        assert not await is_answered_by_mongodb(api, "/brands/nike/assets"), "not written yet"
        await projector.catch_up()
        for path in paths(run):
            before = await answered_by_mongodb(api)
            projected = await api.get(path)
            assert await answered_by_mongodb(api) == before + 1, path
            fresh = await api.get(f"{path}{'&' if '?' in path else '?'}fresh=true")
            assert (projected.status, projected.body) == (200, fresh.body), path
            named = [reply.headers.get("Snapshot") for reply in (projected, fresh)]
            assert named[0] == named[1], path


async def test_a_commit_is_seen_at_once_by_who_asks_for_it(
    migrated_dsn: str, mongodb_url: str, tmp_path: Path
) -> None:
    async with (
        serving(migrated_dsn, tmp_path, reads_url=mongodb_url) as api,
        projecting(api, mongodb_url) as projector,
    ):
        old = await commit(api.stores, "nike", pictures(9))
        await projector.catch_up()
        first = await api.get("/brands/nike/assets?limit=4")
        new = await commit(api.stores, "nike", pictures(3, salt="new"))

        async def says_its_lag() -> bool:
            reply = await api.get("/brands/nike/assets?limit=4")
            assert reply.headers["Snapshot"] == str(old.id)
            return "Snapshot-Lag" in reply.headers

        await until(says_its_lag, patience_s=PATIENCE_S)
        fresh = await api.get("/brands/nike/assets?fresh=true")
        assert (fresh.headers["Snapshot"], len(fresh.json["items"])) == (str(new.id), 3)
        await projector.catch_up()
        shown = await api.get("/brands/nike/assets")
        assert shown.headers["Snapshot"] == str(new.id)
        seen, page = list(first.json["items"]), first
        while page.json["next"]:
            page = await api.get(f"/brands/nike/assets?limit=4&cursor={page.json['next']}")
            assert page.headers["Snapshot"] == str(old.id)
            seen += page.json["items"]
        assert len({asset["id"] for asset in seen}) == len(seen) == 9
        await api.stores.ai.begin_ai("nike", new.id)
        await api.stores.ai.finish_ai(new.id, [Insight("duplicates", {"groups": []}, seconds=0.1)])
        assert (await api.get("/brands/nike/insights?fresh=true")).json["ai_state"] == "done"
        await projector.catch_up()
        assert await is_answered_by_mongodb(api, "/brands/nike/insights")
        assert (await api.get("/brands/nike/insights")).json["ai_state"] == "done"


async def test_a_brand_that_was_deleted_is_gone_before_mongodb_knows(
    migrated_dsn: str, mongodb_url: str, tmp_path: Path
) -> None:
    async with (
        serving(migrated_dsn, tmp_path, reads_url=mongodb_url) as api,
        projecting(api, mongodb_url) as projector,
    ):
        await fill(api)
        await projector.catch_up()
        assert await is_answered_by_mongodb(api, "/brands/nike/assets")
        await api.registry.begin_deletion("nike")

        async def assets() -> list[object]:
            return list((await api.get("/brands/nike/assets")).json["items"])

        assert not await until(assets, lambda found: not found, patience_s=PATIENCE_S)
        listed = (await api.get("/brands")).json["items"]
        assert {brand["name"]: brand["current_run"] for brand in listed}["nike"] is None
        await projector.catch_up()
        assert (await api.get("/brands/nike/assets")).json["items"] == []


@pytest.mark.xdist_group("mongodb_away")
@pytest.mark.parametrize("end", [MongoServer.stop, MongoServer.kill], ids=["stopped", "killed"])
async def test_g12_reads_go_on_while_mongodb_is_stopped_and_started(
    migrated_dsn: str,
    away: Away,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[MongoServer], None],
) -> None:
    monkeypatch.setattr(availability, "DOWN_S", 0.5)
    async with (
        serving(migrated_dsn, tmp_path / "data", reads_url=away.url) as api,
        projecting(api, away.url) as projector,
    ):
        run = (await fill(api))["new"]
        await projector.catch_up()
        assert await is_answered_by_mongodb(api, "/brands/nike/assets")
        expected = {path: (await api.get(f"{path}")).body for path in paths(run)}
        stop = asyncio.Event()
        readers = [asyncio.create_task(_read(api, expected, stop)) for _ in range(2)]
        await asyncio.to_thread(end, away.server)

        async def unavailable() -> bool:
            return 'reason="unavailable"' in (await api.get("/metrics")).body.decode()

        await until(unavailable, patience_s=PATIENCE_S)
        for path in ("/readyz", "/healthz"):
            assert (await api.get(path)).status == 200
        await asyncio.to_thread(away.server.start)
        await until(
            lambda: is_answered_by_mongodb(api, "/brands/nike/assets?limit=1"),
            patience_s=PATIENCE_S,
        )
        stop.set()
        assert sum(await asyncio.gather(*readers)) > len(expected)


async def _read(api: Api, expected: dict[str, bytes], stop: asyncio.Event) -> int:
    """Read all paths again and again; return how often. Every answer is what it was."""
    count = 0
    while not stop.is_set():
        for path, body in expected.items():
            reply = await api.get(path)
            assert (reply.status, reply.body) == (200, body), path
            count += 1
    return count


@pytest.mark.xdist_group("mongodb_away")
async def test_a_mongodb_that_hangs_costs_one_request_its_deadline(
    migrated_dsn: str, away: Away, tmp_path: Path
) -> None:
    async with (
        serving(migrated_dsn, tmp_path / "data", reads_url=away.url) as api,
        projecting(api, away.url) as projector,
    ):
        await fill(api)
        await projector.catch_up()
        assert await is_answered_by_mongodb(api, "/brands/nike/assets")
        process = away.server._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            took = [await _seconds(api, "/brands/nike/assets?limit=2") for _ in range(10)]
        finally:
            process.send_signal(signal.SIGCONT)
        assert ANSWER_S * 0.9 < took[0] < ANSWER_S + SLACK_S
        assert max(took[1:]) < SLACK_S
        await until(
            lambda: is_answered_by_mongodb(api, "/brands/nike/assets"), patience_s=PATIENCE_S
        )


async def _seconds(api: Api, path: str) -> float:
    begun = time.monotonic()
    assert (await api.get(path)).status == 200
    return time.monotonic() - begun


async def test_a_server_starts_and_answers_without_its_mongodb(
    migrated_dsn: str, tmp_path: Path
) -> None:
    async with serving(migrated_dsn, tmp_path, reads_url="mongodb://127.0.0.1:1/triptych") as api:
        await fill(api)
        assert (await api.get("/readyz")).status == 200
        assert (await api.get("/brands/nike")).status == 200
        assert (await api.get("/metrics")).status == 200
