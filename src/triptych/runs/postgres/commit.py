"""The commit: a complete run becomes its brand's snapshot in one transaction."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import structlog

from triptych.database.session import COMMIT_TIMEOUT_S, Transaction
from triptych.database.statements import statements
from triptych.messages import AI_QUEUE, AiBody, Headers
from triptych.model import ALSO_MAX, Run, RunKind, RunState
from triptych.runs.held_rules import REMOVED_SHOWN, held_reason
from triptych.runs.postgres.ending import end_run
from triptych.runs.tolerated_failures import too_many_failures

COMMIT_ROWS_S = 2_000.0
"""Rows a second, below which a commit is given up: a twentieth of what was measured."""
JOIN_MEMORY = "64MB"
"""Memory of a join in the commit before it spills to disk; twice that for its hash table."""
KEEPS_OTHERS = frozenset({RunKind.ADD, RunKind.REEMBED})
"""Kinds of runs whose commit keeps the assets that they did not acquire."""

log = structlog.get_logger(__name__)


def commit_timeout_s(rows: int) -> float:
    """Return the seconds that one statement of a commit of so many rows may take."""
    return max(COMMIT_TIMEOUT_S, rows / COMMIT_ROWS_S)


async def repair_counters(tx: Transaction, run: asyncpg.Record, counts: asyncpg.Record) -> None:
    """Correct counters that differ from the rows, as after a manual change of the database."""
    names = ("expected", "done", "failed")
    if all(run[name] == counts[name] for name in names):
        return
    log.error(
        "counters_repaired",
        run=str(run["id"]),
        counted={name: run[name] for name in names},
        rows={name: counts[name] for name in names},
    )
    await tx.rows("repair_counters", run["id"], *(counts[name] for name in names))


async def end_complete(tx: Transaction, run: Run, counts: asyncpg.Record) -> None:
    """End a complete run: publish its snapshot, hold it, or fail it for too many failures."""
    reason = too_many_failures(
        expected=counts["expected"],
        failed=counts["failed"],
        skipped=counts["skipped"],
        tolerated=run.policy.tolerated_failures,
    )
    if reason is not None:
        await end_run(tx, run.id, RunState.FAILED, reason)
        return
    if run.kind is RunKind.RESTORE and not await tx.row("hold_snapshot", run.restores):
        await end_run(tx, run.id, RunState.FAILED, f"snapshot {run.restores} is no longer kept")
        return
    brand = await tx.row("current_run", run.brand, run.restores)
    assert brand is not None
    if not await _is_held(tx, run, brand):
        await publish(tx, run)


async def _is_held(tx: Transaction, run: Run, brand: asyncpg.Record) -> bool:
    """Hold a run that would remove more than its policy allows; return whether it is."""
    previous: UUID | None = brand["current_run"]
    if previous is None or run.kind is not RunKind.FULL:
        return False
    await tx.rows("plan_large_joins", JOIN_MEMORY)
    timeout_s = commit_timeout_s(run.expected + brand["rows"])
    found = await tx.row("removals", run.id, previous, REMOVED_SHOWN, timeout_s=timeout_s)
    await tx.rows("plan_as_usual")
    assert found is not None
    held = held_reason(found["before"], found["remaining"], run.policy.max_removed)
    if held is None:
        return False
    removed = found["before"] - found["remaining"]
    await tx.rows("count_removals", run.id, removed)
    details = {"removed": removed, "of": found["before"], "urls": found["removed"]}
    await end_run(tx, run.id, RunState.HELD, held, details)
    return True


async def publish(tx: Transaction, run: Run) -> None:
    """Make an active, complete run its brand's snapshot, and end it."""
    brand = await tx.row("current_run", run.brand, run.restores)
    assert brand is not None
    timeout_s = commit_timeout_s(run.expected + brand["rows"])
    await tx.rows("plan_large_joins", JOIN_MEMORY)
    difference = await _publish_assets(tx, run, brand["current_run"], timeout_s)
    await tx.rows("plan_as_usual")
    await tx.rows("swap_snapshot", run.brand, run.id)
    await tx.rows("drop_staging", run.id, timeout_s=timeout_s)
    await tx.rows("record_commit", run.id, *difference)
    await end_run(tx, run.id, RunState.COMMITTED, None)
    body = AiBody(brand=run.brand).model_dump()
    headers = Headers(run_id=run.id, traceparent=run.traceparent).encode()
    await tx.rows("owe", AI_QUEUE, body, headers, run.brand, run.id)


FIRST_SEEN = {
    "publish_assets": "case when p.key is null then now() else p.first_seen end",
    "restore_assets": "o.first_seen",
    "carry_assets": "p.first_seen",
}
"""What each statement that writes assets writes as the time at which they were first seen."""


def _sql(name: str, *, seen: bool) -> str:
    """Return a statement that writes assets, for a schema that has `first_seen`, or not yet."""
    sql = statements()[name]
    sql = sql.replace(":into_first_seen", ", first_seen" if seen else "")
    return sql.replace(":first_seen", f", {FIRST_SEEN[name]}" if seen else "")


async def _publish_assets(
    tx: Transaction, run: Run, previous: UUID | None, timeout_s: float
) -> tuple[int, int, int, int]:
    """Write the run's snapshot; return how many assets it added, kept, changed and removed."""
    statement, of = "publish_assets", [run.id, run.brand, previous, ALSO_MAX]
    if run.kind is RunKind.RESTORE:
        statement, of = "restore_assets", [run.id, run.restores, previous]
    column = await tx.row("has_first_seen")
    assert column is not None
    seen: bool = column["there"]
    sql = _sql(statement, seen=seen)
    (found,) = await tx.rows_of(sql, *of, name=statement, timeout_s=timeout_s)
    added, kept, changed = found.values()
    if previous is None:
        return added, kept, changed, 0
    if run.kind in KEEPS_OTHERS:
        carry = _sql("carry_assets", seen=seen)
        (carried,) = await tx.rows_of(
            carry, run.id, previous, name="carry_assets", timeout_s=timeout_s
        )
        return added, kept + carried["carried"], changed, 0
    before = await tx.row("snapshot_size", previous, timeout_s=timeout_s)
    assert before is not None
    return added, kept, changed, before["size"] - kept - changed
