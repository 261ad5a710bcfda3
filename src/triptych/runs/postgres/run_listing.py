"""Listings of runs on Postgres."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from triptych.database.paging import NEWEST, age_of, sliced
from triptych.database.rows import to_run
from triptych.database.session import Database
from triptych.model import Age, Run, Slice
from triptych.runs.run_filter import RunFilter

OLDEST_AT = datetime(1, 1, 1, tzinfo=UTC)
FIRST_ID = UUID(int=0)


async def list_runs(
    database: Database, wanted: RunFilter, before: Age | None, limit: int
) -> Slice[Run, Age]:
    """Return a page of the runs that a filter takes, newest first."""
    start = before or NEWEST
    if wanted.until is not None and wanted.until <= start.at:
        start = Age(wanted.until, FIRST_ID)
    given: list[object] = [
        start.at,
        start.id,
        limit + 1,
        sorted(state.value for state in wanted.wanted_states),
        sorted(kind.value for kind in wanted.kinds) or None,
        wanted.since or OLDEST_AT,
        wanted.stalled,
    ]
    if wanted.brand is None:
        rows = await database.rows("runs_listed", *given)
    else:
        rows = await database.rows("runs_listed_of_brand", *given, wanted.brand)
    return sliced(rows, limit, to_run, age_of)
