"""While a backup reads a moment, no object that its rows name is deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.api_server import commit, pictures, settings_for
from tests.support.waiting import until
from triptych.backups import postgres_moment
from triptych.backups.object_list import ListedObject
from triptych.backups.postgres_moment import IDLE_S, PostgresMoment, open_moment, resume_runs
from triptych.database.session import Database
from triptych.model import RunState
from triptych.settings.settings import Settings
from triptych.wiring.services import Services, connect

TASK = "3d16d34a-132d-47da-b1da-dadde8dad6d4"


@pytest.fixture
async def services(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Services]:
    settings: Settings = settings_for(migrated_dsn, tmp_path)
    async with connect(settings, migrated_dsn) as connected:
        yield connected


@pytest.fixture
async def database(migrated_dsn: str) -> AsyncIterator[Database]:
    opened = Database(migrated_dsn)
    yield opened
    await opened.close()


async def named(moment: PostgresMoment) -> set[str]:
    return {each.key for page in [rows async for rows in moment.objects()] for each in page}


async def condemned(services: Services) -> int:
    retention = services.stores.retention
    await retention.condemn_objects(grace_s=0, limit=100)
    return len(await retention.condemned_objects(settled_s=0, limit=100))


async def let_go(services: Services, brand: str) -> None:
    """Remove a brand's rows; its objects are left to the collector."""
    await services.stores.brands.begin_deletion(brand)
    while not await services.stores.retention.delete_brand(brand, limit=100):
        pass


async def test_g6_the_collector_is_held_until_the_backup_has_its_objects(
    services: Services, database: Database
) -> None:
    contents = pictures(3)
    await commit(services.stores, "nike", contents)
    async with open_moment(database) as moment:
        taken = await moment.take()
        assert (taken.rows["assets"], taken.runs_active) == (3, 0)
        assert taken.table_bytes <= taken.database_bytes
        await commit(services.stores, "later", pictures(2, salt="later"))
        await let_go(services, "nike")
        assert len(await named(moment)) == 3, "as it was, and nothing that came later"
        await moment.release()
        assert await condemned(services) == 0
        assert await moment.held()
    assert await condemned(services) == 3


async def test_two_backups_share_the_hold(services: Services, database: Database) -> None:
    await commit(services.stores, "nike", pictures(1))
    await let_go(services, "nike")
    async with open_moment(database) as first:
        await first.take()
        async with open_moment(database) as second:
            await second.take()
        assert await condemned(services) == 0
    assert await condemned(services) == 1


async def test_files_of_exports_are_objects_that_a_task_names(
    services: Services, database: Database
) -> None:
    await database.fetch(
        "insert into tasks (kind, state, actor, id, result) values "
        f"('export', 'done', 'me', $${TASK}$$, "
        '\'{"files": [{"name": "nike.csv", "size_bytes": 4, "sha256": "ab"}]}\'), '
        "('export', 'running', 'me', gen_random_uuid(), '{}'), "
        "('delete', 'done', 'me', gen_random_uuid(), '{}')"
    )
    async with open_moment(database) as moment:
        await moment.take()
        assert [each for page in [rows async for rows in moment.objects()] for each in page] == [
            ListedObject(f"exports/{TASK}/nike.csv", 4, "ab")
        ]


async def test_a_session_that_is_lost_holds_nothing_and_says_so(
    services: Services, database: Database
) -> None:
    await commit(services.stores, "nike", pictures(1))
    await let_go(services, "nike")
    async with open_moment(database) as moment:
        await moment.take()
        await database.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = 'triptych-backup' and datname = current_database()"
        )

        # Its end takes a moment.
        assert await until(lambda: condemned(services), lambda count: count == 1) == 1
        assert not await moment.held()


async def test_the_session_of_a_process_that_is_frozen_is_ended(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await commit(services.stores, "nike", pictures(1))
    await let_go(services, "nike")
    monkeypatch.setattr(postgres_moment, "IDLE_S", 0.5)
    async with open_moment(database) as moment:
        await moment.take()
        assert await until(lambda: condemned(services), lambda count: count == 1) == 1
        assert not await moment.held()
    assert postgres_moment.ALIVE_EVERY_S < IDLE_S / 2, "a process that lives is not ended"


async def test_a_run_has_as_much_time_left_as_it_had(
    services: Services, database: Database
) -> None:
    opened = await services.registry.open("nike", source="manifest:/nowhere.csv")
    await database.fetch("update runs set progressed_at = now() - interval '1 day'")
    before = await database.fetch("select deadline_at from runs")
    assert await resume_runs(database, 1000.0) == (1, 0)
    (after,) = await database.fetch(
        "select deadline_at, progressed_at > now() - interval '1 hour' as moves from runs"
    )
    assert (after["deadline_at"] - before[0]["deadline_at"]).total_seconds() == 1000.0
    assert after["moves"]
    assert (await services.stores.runs.run(opened.run.id)).state is RunState.ACTIVE


async def test_a_held_run_waits_for_a_decision_as_long_as_it_would_have(
    services: Services, database: Database
) -> None:
    await services.registry.open("nike", source="manifest:/nowhere.csv")
    await database.fetch("update runs set state = 'held', ended_at = now() - interval '6 days'")
    assert await resume_runs(database, 5 * 24 * 3600.0) == (0, 1)
    (row,) = await database.fetch("select now() - ended_at as waited from runs")
    assert row["waited"].days == 1


async def test_what_was_to_be_deleted_may_be_stored_again_after_a_restore(
    services: Services, database: Database
) -> None:
    await commit(services.stores, "nike", pictures(3))
    await let_go(services, "nike")
    keys = await condemned(services)
    await services.stores.retention.objects_deleted(
        await services.stores.retention.condemned_objects(settled_s=0, limit=1)
    )
    await resume_runs(database, 1000.0)
    (left,) = await database.fetch(
        "select count(*) filter (where condemned_at is null and deleted_at is null) as waiting, "
        "count(*) as all, count(*) filter (where since < now() - interval '1 minute') as old "
        "from unused_objects"
    )
    assert (keys, left["waiting"], left["all"], left["old"]) == (3, 2, 3, 0)
