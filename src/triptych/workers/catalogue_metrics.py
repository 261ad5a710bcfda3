"""What the metrics say of the whole installation, read from the catalogue in one place.

Every process that reads it says the same, so a query takes the greatest value and never the sum.
"""

from __future__ import annotations

from collections.abc import Mapping

from triptych.runs.run_store import RunStore
from triptych.snapshots.search_store import SearchStore
from triptych.telemetry.metrics import (
    BRANDS_UNINDEXED,
    INDEX_LAG_SECONDS,
    READS_BEHIND_BRANDS,
    READS_LAG_SECONDS,
    RUNS_HELD,
    RUNS_STALLED,
)

GAUGES = (RUNS_STALLED, RUNS_HELD, BRANDS_UNINDEXED, INDEX_LAG_SECONDS)


def forget_catalogue() -> None:
    """Expose none of the gauges until they are read again: old values would hide an outage."""
    for gauge in GAUGES:
        gauge.clear()


async def observe_catalogue(runs: RunStore, search: SearchStore) -> None:
    """Set the gauges of stalled and held runs and of the lag of the index.

    Two statements: the runs are counted in indexes of such runs alone; of the index, brands and
    their progress are read, a small row each, as the indexer does every other second.

    Raises:
        DatabaseUnavailable: the gauges are exposed no longer.
    """
    forget_catalogue()
    counts, lag = await runs.counts(), await search.index_lag()
    RUNS_STALLED.set(counts.stalled)
    RUNS_HELD.set(counts.held)
    BRANDS_UNINDEXED.set(lag.brands)
    INDEX_LAG_SECONDS.set(lag.seconds)


def observe_reads(behind: Mapping[str, float | None] | None) -> None:
    """Set the gauges of how far MongoDB is behind, as `ProjectionStore.behind` says.

    None, if nobody knows or there is no MongoDB: the gauges are exposed no longer.
    """
    if behind is None:
        READS_BEHIND_BRANDS.clear()
        READS_LAG_SECONDS.clear()
        return
    READS_BEHIND_BRANDS.set(len(behind))
    READS_LAG_SECONDS.set(max((seconds or 0.0 for seconds in behind.values()), default=0.0))
