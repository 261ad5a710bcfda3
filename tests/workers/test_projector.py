"""The projector on a real MongoDB protocol and a real Postgres: whole snapshots only."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.api_server import commit, pictures, settings_for
from tests.support.contracts.search_contract import mark
from tests.support.equal_reads import assert_equal
from tests.support.projector_process import projector_process
from tests.support.proof_size import at_full_size
from tests.support.waiting import until
from triptych.database.session import Database
from triptych.gather.urls import item_key
from triptych.model import Run
from triptych.reads.edition import Edition
from triptych.reads.mongo import connection as mongo_connection
from triptych.reads.mongo.connection import MongoConnection
from triptych.reads.mongo.mongo_projection import MongoProjection
from triptych.reads.mongo.mongo_reads import mongo_read_stores
from triptych.reads.read_stores import NotProjected, ReadStores
from triptych.snapshots.snapshot_store import AssetFilter
from triptych.wiring.immediate_reads import postgres_reads
from triptych.wiring.services import connect
from triptych.wiring.stores import Stores
from triptych.workers import projector as projecting
from triptych.workers.projector import Projector

pytestmark = pytest.mark.integration

ASSETS = 9
WINDOWS = (
    *("brands_put", "claimed", "advanced", "written", "completed", "shown"),
    *("dropped", "forgotten"),
)
"""Between two effects of the projector."""
KILLS, KILLS_AT_LENGTH = 5, 20
"""In each window."""


class Killed(BaseException):
    """The process ends here."""


@dataclass
class World:
    """A catalogue, its projection, and what was ever committed."""

    stores: Stores
    database: Database
    connection: MongoConnection
    editions: dict[tuple[UUID, bool], dict[bytes, dict[str, Any]]] = field(default_factory=dict)
    """What each run had, before its AI phase and after: marks by key."""
    random: random.Random = field(default_factory=lambda: random.Random(20))

    @property
    def postgres(self) -> ReadStores:
        return postgres_reads(self.stores)

    @property
    def mongodb(self) -> ReadStores:
        return mongo_read_stores(self.connection)

    def projector(self, reached: Callable[[str], None] | None = None, **given: Any) -> Projector:
        knobs = {"grace_s": 0.0, "assets_at_once": 4, **given}
        return Projector(
            self.stores.projections, MongoProjection(self.connection), reached=reached, **knobs
        )

    async def commit(self, brand: str) -> Run:
        contents = pictures(ASSETS, salt=str(self.random.random()))
        run = await commit(self.stores, brand, contents)
        self.editions[run.id, False] = {item_key(url): {} for url in contents}
        return run

    async def publish(self, run: Run) -> None:
        """Let the AI phase publish."""
        urls = [f"https://x.example/{n}" for n in range(ASSETS)]
        clusters = [f"c{n % 3} of {run.id}" for n in range(ASSETS)]
        self.editions[run.id, True] = {
            item_key(url): {"cluster": name, "x": 0.5, "y": 0.25}
            for url, name in zip(urls, clusters, strict=True)
        }
        await mark(self.stores, run, urls, cluster=clusters, x=[0.5] * ASSETS, y=[0.25] * ASSETS)

    async def read(self, brand: str) -> tuple[UUID, list[dict[bytes, dict[str, Any]]]] | None:
        """Read the marks of a brand's snapshot in small pages; None if it is not there."""
        try:
            run_id = await self.mongodb.brands.snapshot_of(brand)
            if run_id is None:
                return None
            after, pages = b"", []
            while True:
                page = await self.mongodb.snapshots.assets_slice(
                    run_id, AssetFilter(), after=after, limit=4
                )
                keys = [asset.key for asset in page.rows]
                assert {asset.run_id for asset in page.rows} <= {run_id}
                marks = await self.mongodb.snapshots.marks(run_id, keys)
                pages.append({key: dict(marks.get(key, {})) for key in keys})
                if page.next is None:
                    return run_id, pages
                after = page.next
        except NotProjected:
            return None  # It was replaced meanwhile: Postgres is asked.

    async def delete(self, brand: str) -> None:
        await self.stores.brands.begin_deletion(brand)
        while not await self.stores.retention.delete_brand(brand, limit=1000):
            pass

    async def killed(self, window: str, times: int) -> bool:
        """Project until a window was reached so often; True if it was."""
        left = times

        def reached(name: str) -> None:
            nonlocal left
            left -= name == window
            if name == window and left == 0:
                raise Killed

        try:
            await self.projector(reached).catch_up()
        except Killed:
            # Its lease ends.
            await self.database.fetch("update projections set leased_until = now()")
            return True
        return False

    async def caught_up(self) -> bool:
        """Project what no lease of a process that was killed holds; True if nothing is left."""
        await self.projector().catch_up()
        return not await self.projector().behind()

    async def check_whole(self, brand: str) -> None:
        """Assert that a brand's snapshot is whole, and each page of one publication of its AI."""
        found = await self.read(brand)
        if found is None:
            return
        run_id, pages = found
        keys = [key for page in pages for key in page]
        assert keys == sorted(self.editions[run_id, False])
        # Between two pages the AI phase may publish: on Postgres, too.
        own = [each for (run, _), each in self.editions.items() if run == run_id]
        for page in pages:
            assert any(page.items() <= edition.items() for edition in own)


@pytest.fixture
async def world(
    migrated_dsn: str, tmp_path: Path, mongodb: MongoConnection
) -> AsyncIterator[World]:
    database = Database(migrated_dsn)
    async with connect(settings_for(migrated_dsn, tmp_path), migrated_dsn) as services:
        yield World(services.stores, database, mongodb)
    await database.close()


async def test_g12_every_page_of_both_stores_is_equal(world: World) -> None:
    for brand in ("nike", "Été", "adidas", "a b", "Ö", "zz"):
        first = await world.commit(brand)
        if brand != "zz":
            await world.publish(first)
        await world.commit(brand)
    await world.stores.brands.put_brand("new", source=None, schedule="0 4 * * *", due_at=None)
    await world.projector().catch_up()
    assert await assert_equal(world.postgres, world.mongodb) == 6 * ASSETS
    # And after each change that a reader can see.
    run = await world.commit("nike")
    await world.projector().catch_up()
    await assert_equal(world.postgres, world.mongodb)
    await world.publish(run)
    await world.stores.retention.collect_snapshots(keep=1, min_age_s=0)
    await world.projector().catch_up()
    await assert_equal(world.postgres, world.mongodb)


@pytest.mark.parametrize("kills_wanted", [KILLS, pytest.param(KILLS_AT_LENGTH, marks=at_full_size)])
@pytest.mark.parametrize("window", WINDOWS)
async def test_g12_a_projector_killed_in_every_window_shows_whole_snapshots_only(
    world: World, window: str, kills_wanted: int
) -> None:
    run, kills = await world.commit("nike"), 0
    for step in range(20 * kills_wanted):
        if kills == kills_wanted:
            break
        if window == "forgotten":
            await world.delete("nike")
            kills += await world.killed(window, 1)
            await world.check_whole("nike")
        if step % 3 == 2 and window != "forgotten":
            await world.publish(run)
        else:
            run = await world.commit("nike")
        kills += await world.killed(window, 1 + step % 2)
        await world.check_whole("nike")
    assert kills == kills_wanted
    await world.projector().catch_up()
    await world.check_whole("nike")
    await assert_equal(world.postgres, world.mongodb)


@pytest.mark.prove
async def test_g12_processes_that_project_are_killed_at_any_moment(
    world: World, migrated_dsn: str, mongodb_url: str
) -> None:
    brands = ("nike", "adidas", "puma")
    for number in range(KILLS_AT_LENGTH):
        run = await world.commit(brands[number % 3])
        if number % 2:
            await world.publish(run)
        async with projector_process(migrated_dsn, mongodb_url):
            await asyncio.sleep(world.random.uniform(0.0, 0.4))
        for brand in brands:
            await world.check_whole(brand)
    await until(world.caught_up)
    await assert_equal(world.postgres, world.mongodb)


async def test_g12_two_projectors_readers_and_commits_at_once(world: World) -> None:
    brands = ("nike", "adidas", "puma")
    runs = {brand: await world.commit(brand) for brand in brands}
    done = asyncio.Event()

    async def change() -> None:
        for step in range(18):
            brand = brands[step % 3]
            if step % 2:
                await world.publish(runs[brand])
            else:
                runs[brand] = await world.commit(brand)
            await asyncio.sleep(0.02)
        done.set()

    async def follow() -> None:
        # A lease that hardly lasts: each brand is written by several at a time, out of order.
        while not done.is_set():
            await world.projector(lease_s=0.05).catch_up()

    async def read() -> int:
        count = 0
        while not done.is_set():
            for brand in brands:
                await world.check_whole(brand)
                count += 1
        return count

    async with asyncio.TaskGroup() as group:
        group.create_task(change())
        reading = [group.create_task(read()) for _ in range(2)]
        for _ in range(3):
            group.create_task(follow())
    assert all(task.result() > 0 for task in reading)
    await world.projector().catch_up()
    await assert_equal(world.postgres, world.mongodb)


async def test_g12_late_and_repeated_writes_change_nothing(world: World) -> None:
    run = await world.commit("nike")
    store, projection = world.stores.projections, MongoProjection(world.connection)
    target = await projection.open("ascii")
    await store.want(target)
    claim = await store.claim(target, holder=uuid4(), lease_s=0.001, grace_s=0)
    assert claim is not None
    assert claim.edition is not None
    old = claim.edition
    page, whole = await store.page("nike", old, after=b"", limit=100), None
    whole, row = await store.whole("nike", old), await store.brand_row("nike")
    assert page is not None
    assert whole is not None
    assert row is not None
    await world.projector().catch_up()
    for edition in (await world.commit("nike"), run):
        if edition is not run:
            await world.projector().catch_up()
        # What a worker that was frozen does when it goes on.
        await projection.write("nike", old, page)
        await projection.complete("nike", old, whole)
        assert not await projection.show("nike", old, whole, row)
        await assert_equal(world.postgres, world.mongodb)


async def rewind(database: Database, brand: str, run: Run) -> None:
    """Do what a restore of Postgres to the moment of a run does to a brand and what is recorded."""
    await database.fetch("update brands set current_run = $2 where name = $1", brand, run.id)
    await database.fetch(
        "update projections set wanted_run = $2, shown_run = $2, wanted_ai = 0, shown_ai = 0, "
        "wanted_committed = c.at, shown_committed = c.at from (select "
        "(extract(epoch from ended_at) * 1000000)::bigint as at from runs where id = $2) c "
        "where brand = $1",
        brand,
        run.id,
    )


async def test_g12_what_another_moment_has_left_is_hidden_and_written_again(world: World) -> None:
    first = await world.commit("nike")
    await world.commit("adidas")
    await world.projector().catch_up()
    await world.commit("nike")
    await world.projector().catch_up()
    await rewind(world.database, "nike", first)
    await world.projector().catch_up()
    assert await world.mongodb.brands.snapshot_of("nike") == first.id
    await assert_equal(world.postgres, world.mongodb)
    # Postgres was restored to before a brand was there.
    await world.commit("later")
    await world.projector().catch_up()
    await world.delete("later")
    await world.database.fetch("delete from projections where brand = 'later'")
    await world.projector().catch_up()
    await assert_equal(world.postgres, world.mongodb)
    with pytest.raises(NotProjected):
        await world.mongodb.brands.snapshot_of("later")
    # MongoDB lost one brand's document, and then everything.
    await world.connection.collection("brands").delete_one({"_id": "adidas"})
    await world.projector().catch_up()
    await assert_equal(world.postgres, world.mongodb)
    for name in ("brands", "assets", "parts", "editions", "meta"):
        await world.connection.collection(name).drop()
    await world.projector().catch_up()
    await assert_equal(world.postgres, world.mongodb)


async def test_earlier_editions_and_brands_that_are_gone_leave_nothing(world: World) -> None:
    for _ in range(3):
        run = await world.commit("nike")
        await world.publish(run)
        await world.projector().catch_up()
    await world.commit("gone")
    await world.projector().catch_up()
    await world.delete("gone")
    await world.projector().catch_up()
    assets = world.connection.collection("assets")
    assert await assets.distinct("edition") == [
        (await MongoProjection(world.connection).shown())["nike"].name
    ]
    assert await assets.count_documents({}) == ASSETS


async def test_a_worker_follows_until_it_is_stopped(world: World) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(world.projector(idle_s=0.02).run(stop))
    run = await world.commit("nike")

    async def seen() -> None:
        while True:
            try:
                if await world.mongodb.brands.snapshot_of("nike") == run.id:
                    return
            except NotProjected:
                await asyncio.sleep(0.02)

    await asyncio.wait_for(seen(), 60)
    stop.set()
    await asyncio.wait_for(running, 60)
    assert await world.projector().behind() == {}


async def test_an_edition_that_lacks_assets_is_not_shown(world: World) -> None:
    await world.commit("nike")
    await world.database.fetch("update runs set added = added + 1")
    with pytest.raises(projecting.EditionIncomplete):
        await world.projector().catch_up()
    with pytest.raises(NotProjected):
        await world.mongodb.brands.snapshot_of("nike")


def test_leases_and_graces_outlast_what_they_guard() -> None:
    assert projecting.LEASE_S > mongo_connection.WRITE_S
    assert projecting.GRACE_S > mongo_connection.READ_S
    assert mongo_connection.READ_S > mongo_connection.QUERY_S
    assert projecting.SYNC_OVERLAP_S < projecting.SYNC_ALL_S
    assert Edition(1, 0, UUID(int=1)) < Edition(1, 1, UUID(int=0)) < Edition(2, 0, UUID(int=0))
    assert timedelta(seconds=projecting.AUDIT_S) < timedelta(minutes=2)
