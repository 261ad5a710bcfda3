"""Postgres keeps the contract of the port Stores, and what is Postgres' own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from tests.support.contracts.ai_contract import InsightsContract
from tests.support.contracts.facets_contract import FacetsContract
from tests.support.contracts.features_contract import FeaturesContract
from tests.support.contracts.items_contract import ItemsContract
from tests.support.contracts.limits_contract import LimitsContract
from tests.support.contracts.outages_contract import Age, OutagesContract
from tests.support.contracts.pages_contract import (
    AccessContract,
    PagesContract,
    PresenceContract,
    SnapshotsKeptContract,
    TasksContract,
)
from tests.support.contracts.pictures_contract import PicturesContract
from tests.support.contracts.removals_contract import RemovalsContract
from tests.support.contracts.restores_contract import RestoresContract
from tests.support.contracts.retention_contract import RetentionContract
from tests.support.contracts.rows_contract import RowsContract
from tests.support.contracts.run_log_contract import RunLogContract
from tests.support.contracts.search_contract import (
    SearchContract,
    commit_vectors,
    drawn,
    index_all,
    nearest,
    urls,
)
from tests.support.contracts.settling_contract import SettlingContract
from tests.support.contracts.stalled_contract import PassTime, StalledContract
from tests.support.contracts.stores_contract import POLICY, CatalogueContract, open_run
from tests.support.contracts.uploads_contract import UploadsContract, new_upload
from triptych.backups.postgres_moment import open_moment
from triptych.database.migrate import migrate
from triptych.database.migration import migrations
from triptych.database.session import Database
from triptych.errors import DatabaseUnavailable
from triptych.limits.limit_store import Limits
from triptych.messages import Phase
from triptych.model import RunKind
from triptych.presence.presence_store import WorkerState
from triptych.runs.given_urls import GivenUrl
from triptych.wiring.stores import Stores, postgres_stores

PATIENCE_S = 30.0


class Crash(BaseException):
    """Takes the place of SIGKILL."""


@pytest.fixture
async def database(migrated_dsn: str) -> AsyncIterator[Database]:
    opened = Database(migrated_dsn)
    yield opened
    await opened.close()


@pytest.fixture
def stores(database: Database) -> Stores:
    return postgres_stores(database, run_cap_s=3600)


class TestPostgresFacets(FacetsContract):
    pass


class TestPostgresFeatures(FeaturesContract):
    pass


class TestPostgresUploads(UploadsContract):
    async def test_g6_nothing_is_deletable_while_a_backup_copies_objects(
        self, stores: Stores, database: Database
    ) -> None:
        first, second = [await stores.uploads.put_upload(new_upload()) for _ in range(2)]
        async with open_moment(database) as moment:
            await moment.take()
            assert not (await stores.uploads.remove_upload(first.id)).deletable
            assert await stores.uploads.remove_unused(unused_s=0, limit=9) == []
            assert await stores.uploads.unnamed_objects([first.object_key]) == []
            listed = [each async for page in moment.objects() for each in page]
            assert [(each.key, each.size_bytes, each.sha256) for each in listed] == sorted(
                (each.object_key, 3, each.sha256.hex()) for each in (first, second)
            )
        assert await stores.uploads.unnamed_objects([first.object_key]) == [first.object_key]
        assert await stores.uploads.remove_unused(unused_s=0, limit=9) == [second.object_key]


class TestPostgresStores(
    CatalogueContract,
    ItemsContract,
    PicturesContract,
    RemovalsContract,
    RestoresContract,
    RowsContract,
    RunLogContract,
    SettlingContract,
):
    async def test_wrong_counters_are_repaired_from_the_rows(
        self, stores: Stores, database: Database
    ) -> None:
        run_id = (await open_run(stores)).run.id
        await database.fetch("update runs set expected = 9, done = 9, sealed = true")
        run = await stores.runs.commit(run_id)
        assert (run.expected, run.done, run.added) == (0, 0, 0)

    async def test_g7_a_listener_catches_up_after_its_connection_is_cut(
        self, stores: Stores, database: Database
    ) -> None:
        async with stores.changes.changes() as changed:
            await database.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = 'triptych-listen' and datname = current_database()"
            )
            run_id = (await open_run(stores)).run.id
            assert await asyncio.wait_for(anext(changed), PATIENCE_S) == run_id

    async def test_given_urls_and_trust_are_deleted_with_their_brand(
        self, stores: Stores, database: Database
    ) -> None:
        for brand in ("nike", "adidas"):
            source = await stores.brands.keep_urls(brand, [GivenUrl("https://x/1")])
            await stores.brands.trust_source(brand, "manifest:/home/a.csv")
            await stores.brands.put_brand(brand, source=source, schedule=None, due_at=None)
        await stores.brands.begin_deletion("nike")
        assert await stores.retention.delete_brand("nike", limit=10)
        for table in ("url_lists", "trusted_sources"):
            rows = await database.fetch(f"select brand from {table}")
            assert [row["brand"] for row in rows] == ["adidas"]

    async def test_given_urls_are_dropped_when_nobody_has_still_to_read_them(
        self, stores: Stores, database: Database
    ) -> None:
        async def keep(url: str) -> str:
            await database.fetch("update url_lists set kept_at = kept_at - interval '2 days'")
            return await stores.brands.keep_urls("nike", [GivenUrl(url)])

        async def open_of(source: str) -> UUID:
            opened = await stores.runs.open_run(
                "nike",
                run_id=uuid4(),
                kind=RunKind.FULL,
                source=source,
                policy=POLICY,
                enqueue_gather_message=False,
            )
            return opened.run.id

        unsealed = await keep("https://x/1")
        await stores.runs.cancel(await open_of(unsealed))
        read = await keep("https://x/2")
        whole = await open_of(read)
        await stores.runs.seal(whole)
        await stores.runs.cancel(whole)
        await keep("https://x/3")
        assert await stores.brands.kept_urls("nike", read), "it is the brand's source"
        await stores.brands.put_brand("nike", source="manifest:x", schedule=None, due_at=None)
        newest = await keep("https://x/4")
        left = {row["source"] for row in await database.fetch("select source from url_lists")}
        assert left == {unsealed, newest}, "a redrive goes on with what was not read"


class TestPostgresOutages(OutagesContract):
    @pytest.fixture
    def age(self, database: Database) -> Age:
        async def age(seconds: float) -> None:
            await database.fetch(
                "update host_outages set seen_at = seen_at - make_interval(secs => $1)", seconds
            )

        return age

    async def test_what_ends_a_run_forgets_its_outages(
        self, stores: Stores, database: Database
    ) -> None:
        run_id = (await open_run(stores)).run.id
        await stores.outages.note(run_id, ["https://x"], patience_s=60)
        await stores.runs.seal(run_id)
        await stores.runs.commit(run_id)
        assert not await database.fetch("select from host_outages")


class TestPostgresLimits(LimitsContract):
    MODULE = "triptych.limits.postgres_limits"

    async def test_a_lost_connection_loses_no_change(
        self, stores: Stores, database: Database
    ) -> None:
        async with aclosing(stores.limits.changes()) as changes, asyncio.timeout(60):
            assert not (await anext(changes)).phases[Phase.AI].paused
            following = asyncio.ensure_future(anext(changes))
            assert await database.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity where"
                " application_name = 'triptych-listen' and datname = current_database()"
            )
            await stores.limits.put_phase(Phase.AI, paused=True, concurrency=2, by="anna")
            assert (await following).phases[Phase.AI].concurrency == 2

    async def test_a_database_of_the_release_before_limits_nothing(
        self, stores: Stores, database: Database
    ) -> None:
        await database.fetch("drop table phase_limits, host_limits")
        assert await stores.limits.limits() == Limits()
        assert await stores.limits.held_up(within_s=60) == frozenset()
        async with aclosing(stores.limits.changes()) as changes, asyncio.timeout(60):
            assert await anext(changes) == Limits()

    async def test_a_heartbeat_is_kept_without_its_details_there(
        self, stores: Stores, database: Database
    ) -> None:
        state = WorkerState(
            uuid4(), "h", 1, "0", ["ai"], {"q": 1}, False, datetime.now(UTC), 5_000, {"q": 2.5}
        )
        await stores.presence.beat(state, forget_s=60)
        (seen,) = await stores.presence.workers(limit=5)
        assert (seen.memory_bytes, seen.per_second) == (5_000, {"q": 2.5})
        await database.fetch(
            "alter table workers drop column memory_bytes, drop column per_second,"
            " drop column held, drop column hosts"
        )
        await stores.presence.beat(state, forget_s=60)
        (seen,) = await stores.presence.workers(limit=5)
        assert (seen.doing, seen.memory_bytes, seen.held) == ({"q": 1}, None, [])


class TestPostgresStalled(StalledContract):
    @pytest.fixture
    def pass_time(self, database: Database) -> PassTime:
        async def pass_time(seconds: float) -> None:
            by = "- make_interval(secs => $1)"
            await database.fetch(f"update runs set progressed_at = progressed_at {by}", seconds)
            await database.fetch(
                f"update items set sent_at = sent_at {by}, tried_at = tried_at {by},"
                f" due_at = due_at {by}",
                seconds,
            )

        return pass_time

    async def test_a_run_that_another_transaction_holds_is_left_to_the_next_look(
        self, stores: Stores, database: Database, pass_time: PassTime
    ) -> None:
        run_id = (await open_run(stores)).run.id
        await pass_time(3600)
        holder = await database.connect()
        try:
            async with holder.transaction():
                await holder.fetch("select from runs for no key update")
                assert await stores.runs.mark_stalled(after_s=600, limit=9) == []
            assert await stores.runs.mark_stalled(after_s=600, limit=9) == [run_id]
        finally:
            await holder.close()

    async def test_settling_an_item_that_was_tried_writes_no_index(
        self, stores: Stores, database: Database
    ) -> None:
        columns = await database.fetch(
            "select pg_get_indexdef(indexrelid) as text from pg_index"
            " where indrelid = 'items'::regclass"
        )
        settling = ("state", "settled_at", "reason", "detail")
        assert [
            row["text"] for row in columns if any(name in row["text"] for name in settling)
        ] == []


class TestPostgresRetention(RetentionContract):
    """Nothing of Postgres' own."""


class TestPostgresForTheAiPhase(InsightsContract):
    """Nothing of Postgres' own."""


class TestPostgresPages(PagesContract):
    """Nothing of Postgres' own."""


class TestPostgresSnapshotsKept(SnapshotsKeptContract):
    """Nothing of Postgres' own."""


class TestPostgresTasks(TasksContract):
    """Nothing of Postgres' own."""


class TestPostgresAccess(AccessContract):
    """Nothing of Postgres' own."""


class TestPostgresPresence(PresenceContract):
    """Nothing of Postgres' own."""


class TestPostgresSearch(SearchContract):
    @pytest.mark.parametrize(
        "point", ["index_page", "unindex_page", "note_indexed", "commit", "committed"]
    )
    async def test_g4_an_indexer_killed_anywhere_leaves_what_the_next_goes_on_from(
        self, stores: Stores, migrated_dsn: str, point: str
    ) -> None:
        vectors = drawn(20, 1)
        await commit_vectors(stores, "nike", vectors)
        await stores.search.index_some(limit=6)

        def crash(reached: str) -> None:
            if reached == point:
                raise Crash

        dying = Database(migrated_dsn, hook=crash)
        try:
            with pytest.raises(Crash):
                await postgres_stores(dying, run_cap_s=3600).search.index_some(limit=6)
        finally:
            await dying.close()
        assert await stores.search.unindexed_brands() == 1
        await index_all(stores, limit=6)
        found = await stores.search.nearest_anywhere(nearest(vectors[0], 100))
        assert sorted(map(int, urls(found))) == list(range(20))

    async def test_long_embeddings_are_searched_without_an_index(self, stores: Stores) -> None:
        await commit_vectors(stores, "nike", drawn(5, 1, dimension=4100))
        await index_all(stores)
        found = await stores.search.nearest_anywhere(nearest(drawn(5, 1, dimension=4100)[2], 1))
        assert (urls(found), found.exact) == (["2"], True)

    async def test_the_walk_finds_nearly_all_that_looking_at_everything_finds(
        self, stores: Stores, database: Database
    ) -> None:
        vectors = drawn(3000, 1, dimension=16)
        run = await commit_vectors(stores, "nike", vectors)
        await index_all(stores, limit=1000)
        await database.fetch("analyze")
        found = 0
        for wanted in drawn(20, 2, dimension=16):
            exact = urls(await stores.search.nearest_in(run.id, nearest(wanted, 10)))
            walked = await stores.search.nearest_anywhere(nearest(wanted, 10))
            found += len(set(exact) & set(urls(walked)))
        assert found >= 0.95 * 200


async def test_migrations_are_applied_once_by_whoever_comes_first(fresh_dsn: str) -> None:
    databases = [Database(fresh_dsn) for _ in range(3)]
    try:
        applied = await asyncio.gather(*(migrate(database) for database in databases))
        assert sorted(map(len, applied)) == [0, 0, len(migrations())]
    finally:
        for database in databases:
            await database.close()


async def test_check_tells_an_empty_and_a_newer_schema(fresh_dsn: str) -> None:
    database = Database(fresh_dsn)
    stores = postgres_stores(database, run_cap_s=1)
    try:
        with pytest.raises(DatabaseUnavailable, match=r"lacks 0001_catalogue.*triptych migrate"):
            await stores.check()
        await migrate(database)
        await database.fetch("insert into schema_migrations values ('9999_future')")
        with pytest.raises(DatabaseUnavailable, match=r"too new .*9999_future.*Upgrade"):
            await stores.check()
    finally:
        await stores.close()
