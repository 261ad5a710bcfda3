"""The port TaskStore: accepted operations, and who requested them."""

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
    """An accepted operation."""

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
    """The run's current state, if it was read with the task."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a task. Two are the same if actor, key and fingerprint are."""

    kind: str
    actor: str
    brand: str | None
    key: str | None
    """The idempotency key, if one was given."""
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The result of claiming a request."""

    task_id: UUID
    mine: bool
    """True: the caller does it. Ids of what it creates are derived from ``task_id``."""
    settled: Task | None
    """The task of an earlier request with the same key; None while that is running."""


@dataclass(frozen=True, slots=True)
class Audit:
    """Something an operator did."""

    actor: str
    action: str
    target: str
    detail: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeptAudit:
    """A stored audit event."""

    id: int
    at: datetime
    event: Audit


class TaskStore(Protocol):
    """Tasks and audit. Each method is one transaction."""

    async def claim_task(self, request: Request, *, kept_s: float, stale_s: float) -> Claim:
        """Begin a request, once for its idempotency key within ``kept_s``.

        A claim that was neither accepted nor dropped within ``stale_s`` goes to the next caller.

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
        """Record the result of a claimed request, and who sent it. Safe to repeat.

        ``enqueue_work``: a worker is to do it; its message on ``brand-ai-phase-queue`` goes into
        the outbox by the same transaction.
        """
        ...

    async def begin_task(self, task_id: UUID) -> Task | None:
        """Record that a worker has begun a task; None if it does not exist or has ended.

        It may be begun again: its worker may have been killed.
        """
        ...

    async def note_task(self, task_id: UUID, result: Metadata) -> None:
        """Replace the result of a running task."""
        ...

    async def end_task(self, task_id: UUID, state: TaskState, result: Metadata) -> None:
        """End a running task. One that has ended stays as it is."""
        ...

    async def drop_claim(self, task_id: UUID) -> None:
        """Delete a claim that had no result."""
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
        """Delete tasks, once their results are deleted."""
        ...

    async def record_audit(self, event: Audit) -> None:
        """Store an audit event."""
        ...

    async def audit_slice(self, *, before: int | None, limit: int) -> Slice[KeptAudit, int]:
        """Return audit events, newest first."""
        ...
