"""The port TaskStore: operations that were accepted, and who asked for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from triptych.model import Age, Metadata, Run, Slice


class TaskState(StrEnum):
    """Where a task is."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Task:
    """An operation that was accepted."""

    id: UUID
    kind: str
    state: TaskState
    brand: str | None
    run_id: UUID | None
    """The run that it opened or changed."""
    created_at: datetime
    ended_at: datetime | None = None
    result: Metadata = field(default_factory=dict)
    run: Run | None = None
    """The run as it stands, where it was read with the task."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a task is asked by. Two are the same when actor, key and fingerprint are."""

    kind: str
    actor: str
    brand: str | None
    key: str | None
    """The idempotency key, if one was given."""
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of a request."""

    task_id: UUID
    mine: bool
    """True: it is the caller's to do. What he makes gets ids derived from ``task_id``."""
    settled: Task | None
    """The task of an earlier request with the same key; None while that is being done."""


@dataclass(frozen=True, slots=True)
class Audit:
    """Something an operator did."""

    actor: str
    action: str
    target: str
    detail: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptAudit:
    """An audit event as it is kept."""

    id: int
    at: datetime
    event: Audit


class TaskStore(Protocol):
    """Tasks and audit. Each method is one transaction."""

    async def claim_task(self, request: Request, *, kept_s: float, stale_s: float) -> Claim:
        """Begin a request, once for its idempotency key within ``kept_s``.

        A claim that was neither accepted nor dropped within ``stale_s`` is given to the next.

        Raises:
            IdempotencyKeyReused: the key came with another request.
        """
        ...

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
        """Record what a claimed request came to, and who asked for it. Safe to repeat.

        ``enqueue_work``: a worker is to do it; its message on ``brand-ai-phase-queue`` goes into
        the outbox by the same transaction.
        """
        ...

    async def begin_task(self, task_id: UUID) -> Task | None:
        """Note that a worker is at a task; None if there is none, or it has ended.

        Begun again, it is the same: its worker may have been killed.
        """
        ...

    async def note_task(self, task_id: UUID, result: Metadata) -> None:
        """Replace what is told of a running task."""
        ...

    async def end_task(self, task_id: UUID, state: TaskState, result: Metadata) -> None:
        """End a task that a worker is at. One that has ended stays as it is."""
        ...

    async def drop_claim(self, task_id: UUID) -> None:
        """Forget a claim of which nothing came."""
        ...

    async def task(self, task_id: UUID) -> Task:
        """Return a task.

        Raises:
            TaskNotFound: there is none of that id.
        """
        ...

    async def tasks_slice(self, *, before: Age | None, limit: int) -> Slice[Task, Age]:
        """Return tasks, newest first."""
        ...

    async def old_tasks(self, *, older_s: float, limit: int) -> Sequence[Task]:
        """Return the oldest of the tasks that are older than ``older_s``."""
        ...

    async def drop_tasks(self, task_ids: Sequence[UUID]) -> None:
        """Forget tasks, once nothing is left of what they made."""
        ...

    async def record_audit(self, event: Audit) -> None:
        """Keep an audit event."""
        ...

    async def audit_slice(self, *, before: int | None, limit: int) -> Slice[KeptAudit, int]:
        """Return audit events, newest first."""
        ...
