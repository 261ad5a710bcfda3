"""Gauges of the whole installation: read from the catalogue, cheaply, and never out of date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest

from tests.support.sealing import KEYS
from triptych.database.session import Database
from triptych.database.statements import statements
from triptych.errors import DatabaseUnavailable
from triptych.runs.run_store import RunCounts, RunStore
from triptych.snapshots.search_store import IndexLag, SearchStore
from triptych.telemetry.metrics import REGISTRY, LateGauge
from triptych.wiring.stores import postgres_stores
from triptych.workers.catalogue_metrics import (
    GAUGES,
    forget_catalogue,
    observe_catalogue,
    observe_reads,
)

BRANDS = 2_000
RUNS_EACH = 4
NAMES = (
    "triptych_runs_stalled",
    "triptych_runs_held",
    "triptych_brands_unindexed",
    "triptych_index_lag_seconds",
)


@dataclass
class Catalogue:
    """What the two stores answer."""

    away: bool = False

    async def counts(self) -> RunCounts:
        return RunCounts(stalled=1, held=2)

    async def index_lag(self) -> IndexLag:
        if self.away:
            raise DatabaseUnavailable("away", remedy="wait")
        return IndexLag(brands=3, seconds=4.5)


def values() -> list[float | None]:
    return [REGISTRY.get_sample_value(name) for name in NAMES]


async def test_gauges_are_exposed_while_they_are_known() -> None:
    assert len(NAMES) == len(GAUGES)
    forget_catalogue()
    assert values() == [None] * 4
    catalogue = cast("Any", Catalogue())
    await observe_catalogue(catalogue, catalogue)
    assert values() == [1, 2, 3, 4.5]
    catalogue.away = True
    with pytest.raises(DatabaseUnavailable):
        await observe_catalogue(cast("RunStore", catalogue), cast("SearchStore", catalogue))
    assert values() == [None] * 4


def test_how_far_mongodb_is_behind_is_exposed_while_it_is_known() -> None:
    names = ("triptych_reads_behind_brands", "triptych_reads_lag_seconds")
    observe_reads({"nike": 4.5, "puma": 2.0, "gone": None})
    assert [REGISTRY.get_sample_value(name) for name in names] == [3, 4.5]
    observe_reads({})
    assert [REGISTRY.get_sample_value(name) for name in names] == [0, 0]
    observe_reads(None)
    assert [REGISTRY.get_sample_value(name) for name in names] == [None, None]


async def test_values_that_nobody_renews_are_exposed_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalogue = cast("Any", Catalogue())
    await observe_catalogue(catalogue, catalogue)
    assert values() == [1, 2, 3, 4.5]
    monkeypatch.setattr(LateGauge, "KEPT_S", 0.0)
    await observe_catalogue(catalogue, catalogue)
    assert values() == [None] * 4


async def fill(database: Database) -> None:
    """Brands whose newest run is their snapshot; all but one are indexed."""
    await database.fetch(
        "insert into brands (name) select 'brand ' || n from generate_series(1, $1) n", BRANDS
    )
    await database.fetch(
        "insert into runs (id, brand, kind, state, tolerated_failures, max_attempts, deadline_s,"
        " deadline_at, sealed, ended_at) select gen_random_uuid(), 'brand ' || n, 'full',"
        " 'committed', 0.5, 5, 60, now(), true, now() - interval '1 hour' * m"
        " from generate_series(1, $1) n, generate_series(1, $2) m",
        BRANDS,
        RUNS_EACH,
    )
    await database.fetch(
        "update brands set current_run = r.id from (select distinct on (brand) brand, id from runs"
        " order by brand, ended_at desc) r where r.brand = name"
    )
    await database.fetch(
        "insert into search_progress (brand, run_id, after, done)"
        " select name, current_run, '', true from brands where name <> 'brand 7'"
    )
    await database.fetch("analyze runs, brands, search_progress")


async def test_reading_them_reads_no_runs_beyond_those_counted(migrated_dsn: str) -> None:
    database = Database(migrated_dsn)
    stores = postgres_stores(database, run_cap_s=3600, keys=KEYS)
    try:
        await fill(database)
        for name in ("count_runs", "index_lag"):
            rows = await database.fetch(f"explain {statements()[name]}")
            plan = "\n".join(row[0] for row in rows)
            assert "Seq Scan on runs" not in plan, f"{name}\n{plan}"
        assert await stores.runs.counts() == RunCounts(stalled=0, held=0)
        lag = await stores.search.index_lag()
        assert lag.brands == 1
        assert 3600 <= lag.seconds < 7200
    finally:
        await stores.close()
