"""Tasks and audit on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from uuid import UUID, uuid4

import asyncpg
from typing_extensions import override

from triptych.database.paging import LAST_ID, NEWEST, sliced
from triptych.database.rows import Reader, reader, to_run
from triptych.database.session import Database, Transaction
from triptych.errors import IdempotencyKeyReused, TaskNotFound
from triptych.messages import AI_QUEUE, AiBody, Headers
from triptych.model import Age, Metadata, Slice
from triptych.sealing.readable import without_secret
from triptych.tasks.task_store import (
    Audit,
    Claim,
    KeptAudit,
    Request,
    Task,
    TaskState,
    TaskStore,
    where_its_run_is,
)

CLAIMED = "claimed"
CLAIM_TRIES = 5
"""A claim may be dropped between two statements that look for it; five times is a defect."""


class PostgresTaskStore(TaskStore):
    """`TaskStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def claim_task(self, request: Request, *, kept_s: float, stale_s: float) -> Claim:

        async def work(tx: Transaction) -> Claim:
            if request.key is not None:
                await tx.rows("forget_idempotency", request.actor, request.key, kept_s)
            for _ in range(CLAIM_TRIES):
                row = await tx.row(
                    "claim_task",
                    uuid4(),
                    request.kind,
                    request.actor,
                    request.brand,
                    request.key,
                    request.fingerprint,
                )
                if row:
                    return Claim(row["id"], mine=True, settled=None)
                if row := await tx.row("task_by_idempotency", request.actor, request.key):
                    return await self._earlier(tx, row, request, stale_s)
            raise RuntimeError("a task could be neither claimed nor found")

        return await self._database.transact(work)

    async def _earlier(
        self, tx: Transaction, row: asyncpg.Record, request: Request, stale_s: float
    ) -> Claim:
        if row["fingerprint"] != request.fingerprint:
            raise IdempotencyKeyReused(
                field="Idempotency-Key",
                remedy="Use a new key for each request; repeat a key only with the same request.",
            )
        if row["state"] != CLAIMED:
            return Claim(row["id"], mine=False, settled=_accepted(row))
        taken = await tx.row("take_over_task", row["id"], stale_s)
        return Claim(row["id"], mine=taken is not None, settled=None)

    @override
    async def accept_task(
        self,
        task_id: UUID,
        *,
        state: TaskState,
        run_id: UUID | None,
        result: Metadata,
        audit: Audit,
        enqueue_work: bool = False,
    ) -> Task:

        async def work(tx: Transaction) -> Task:
            row = await tx.row("accept_task", task_id, state.value, None, run_id, dict(result))
            if row:
                await _audit(tx, audit)
                if enqueue_work:
                    await _owe_work(tx, row)
            else:  # Another process took over the claim first.
                row = await tx.row("read_accepted", task_id)
            if row is None:
                raise TaskNotFound(f"There is no task {task_id}.")
            return _accepted(row)

        return await self._database.transact(work)

    @override
    async def drop_claim(self, task_id: UUID) -> None:
        await self._database.rows("drop_claim", task_id)

    @override
    async def task(self, task_id: UUID) -> Task:
        rows = await self._database.rows("task", task_id)
        if not rows:
            raise TaskNotFound(f"There is no task {task_id}.", remedy="They are kept for 30 days.")
        return _to_task(rows[0])

    @override
    async def tasks_slice(self, *, before: Age | None, limit: int) -> Slice[Task, Age]:
        since = before or NEWEST
        rows = await self._database.rows("tasks_page", since.at, since.id, limit + 1)
        return sliced(
            rows, limit, _to_task, lambda row: Age(row["task_created_at"], row["task_id"])
        )

    @override
    async def begin_task(self, task_id: UUID) -> Task | None:
        rows = await self._database.rows("begin_task", task_id)
        return _accepted(rows[0]) if rows else None

    @override
    async def note_task(self, task_id: UUID, result: Metadata) -> None:
        await self._database.rows("note_task", task_id, dict(result))

    @override
    async def end_task(self, task_id: UUID, state: TaskState, result: Metadata) -> None:
        await self._database.rows("end_task", task_id, state.value, dict(result))

    @override
    async def old_tasks(self, *, older_s: float, limit: int) -> Sequence[Task]:
        return [_accepted(row) for row in await self._database.rows("old_tasks", older_s, limit)]

    @override
    async def drop_tasks(self, task_ids: Sequence[UUID]) -> None:
        await self._database.rows("drop_tasks", list(task_ids))

    @override
    async def record_audit(self, event: Audit) -> None:

        async def work(tx: Transaction) -> None:
            await _audit(tx, event)

        await self._database.transact(work)

    @override
    async def audit_slice(self, *, before: int | None, limit: int) -> Slice[KeptAudit, int]:
        since = LAST_ID if before is None else before
        rows = await self._database.rows("audit_page", since, limit + 1)
        return sliced(rows, limit, _to_audit, lambda row: int(row["id"]))


async def _owe_work(tx: Transaction, row: asyncpg.Record) -> None:
    body = AiBody(brand=row["brand"]).model_dump()
    headers = Headers(task_id=row["id"]).encode()
    await tx.rows("owe", AI_QUEUE, body, headers, row["brand"], None)


async def _audit(tx: Transaction, event: Audit) -> None:
    await tx.rows("add_audit", event.actor, event.action, event.target, dict(event.detail))


_accepted: Reader[Task] = reader(Task)
_named: Reader[Task] = reader(
    Task,
    id=itemgetter("task_id"),
    kind=itemgetter("task_kind"),
    state=lambda row: TaskState(row["task_state"]),
    brand=itemgetter("task_brand"),
    run_id=itemgetter("task_run"),
    created_at=itemgetter("task_created_at"),
    ended_at=itemgetter("task_ended_at"),
)
_to_audit: Reader[KeptAudit] = reader(KeptAudit)


def _to_task(row: asyncpg.Record) -> Task:
    """Read a task whose run's row is joined to it, if it has one."""
    return where_its_run_is(_named(row), to_run(row) if row["id"] is not None else None)


async def count_audited_sources(database: Database) -> int:
    """Return how many sources in the audit have a secret."""
    rows = await database.rows("audited_sources")
    return sum(without_secret(row["source"]) != row["source"] for row in rows)


async def hide_audited_sources(database: Database) -> int:
    """Take secrets out of the sources in the audit, which earlier releases kept; return how many.

    They were never needed there. May be stopped at any point and repeated.
    """
    hidden = 0
    for row in await database.rows("audited_sources"):
        source: str = row["source"]
        kept = without_secret(source)
        if kept != source:
            hidden += len(await database.rows("hide_audited_source", source, kept))
    return hidden
