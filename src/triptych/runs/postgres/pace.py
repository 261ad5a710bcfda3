"""How fast a run went, and what its last items wait for."""

from __future__ import annotations

from uuid import UUID

from triptych.database.session import Database
from triptych.model import Reason
from triptych.runs.run_store import LastTry, Pace, PaceBucket, Waits

PACE_SAMPLE = 5_000
"""Items of a run that its pace is computed from, at most."""
PACE_BUCKETS = 120
TRIES_SCAN = 1_000
"""Items among which the last attempt is looked for."""
WAITS_MAX = 1_000
"""Most items that a run may have left for its pace to say what they wait for."""


async def read_pace(database: Database, run_id: UUID) -> Pace:
    """Return how fast a run went, from a bounded sample of its items."""
    timed_out = Reason.TIMED_OUT.value
    rows = await database.rows("run_pace", run_id, PACE_SAMPLE, PACE_BUCKETS, timed_out)
    return Pace(
        width_s=rows[0]["width"] if rows else 0.0,
        each=rows[0]["step"] if rows else 1,
        buckets=[
            PaceBucket(
                row["at"], row["settled"], row["failed"], row["measured"], row["p50"], row["p95"]
            )
            for row in rows
        ],
        waits=await _waits(database, run_id),
        last_try=await _last_try(database, run_id),
    )


async def _last_try(database: Database, run_id: UUID) -> LastTry | None:
    rows = await database.rows("run_last_try", run_id, TRIES_SCAN)
    if not rows:
        return None
    row = rows[0]
    return LastTry(
        row["attempts"],
        row["tried_at"],
        row["due_at"],
        row["waits_for"] or None,
        row["detail"] or None,
    )


async def _waits(database: Database, run_id: UUID) -> Waits | None:
    rows = await database.rows("run_waits", run_id, WAITS_MAX)
    if not rows:
        return None
    row = rows[0]
    return Waits(
        row["open"],
        row["delayed"],
        row["due_at"],
        row["attempts"],
        row["waits_for"] or None,
        row["detail"] or None,
    )
