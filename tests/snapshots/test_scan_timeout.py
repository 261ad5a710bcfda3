"""A pass over all assets has as long as they need: else nothing of a large catalogue is deleted."""

from __future__ import annotations

import pytest

from tests.support.contracts.stores_contract import done, new_items, open_run
from tests.support.registry_harness import open_registry_harness
from triptych.database.session import COMMIT_TIMEOUT_S
from triptych.snapshots.postgres import postgres_retention
from triptych.snapshots.postgres.postgres_retention import SCAN_ROWS_S, scan_timeout_s


def test_it_grows_with_the_assets_from_what_all_long_statements_have() -> None:
    assert scan_timeout_s(1_000_000) == COMMIT_TIMEOUT_S
    assert scan_timeout_s(50_000_000) == 50_000_000 / SCAN_ROWS_S > COMMIT_TIMEOUT_S


@pytest.mark.integration
async def test_it_is_taken_from_the_planners_estimate(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def timeout_s(rows: int) -> float:
        asked.append(rows)
        return scan_timeout_s(rows)

    monkeypatch.setattr(postgres_retention, "scan_timeout_s", timeout_s)
    async with open_registry_harness(migrated_dsn) as harness:
        runs, database = harness.stores.runs, harness.database
        committed = (await open_run(harness.stores)).run.id
        items = await runs.expect(committed, new_items(3), cursor=None, limit=10)
        await runs.seal(committed)
        await runs.settle(committed, [done(item) for item in items], limit=10)
        await runs.commit(committed)
        cancelled = (await open_run(harness.stores, "adidas")).run.id
        (item,) = await runs.expect(cancelled, new_items(1), cursor=None, limit=10)
        await runs.settle(cancelled, [done(item, "other")], limit=10)
        await runs.cancel(cancelled)
        await database.fetch("analyze assets")
        await harness.stores.retention.condemn_objects(grace_s=3600, limit=10)
        assert asked == [3]
