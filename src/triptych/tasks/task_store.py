"""The port TaskStore: accepted operations, and who requested them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol
from uuid import UUID

import msgspec

from triptych.model import Age, AiState, Metadata, Run, RunState, Slice
from triptych.wire import Wire

AI_TASK = "ai"
"""Kind of the tasks that run an AI phase again."""


class TaskState(StrEnum):
    """Where a task is."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Task(Wire, frozen=True):
    """An operation that was accepted. One that opened a run, or its AI phase, is where that is."""

    id: UUID
    kind: str
    state: TaskState
    brand: str | None
    run_id: UUID | None = msgspec.field(name="run")
    """The run that it opened or changed."""
    created_at: datetime
    ended_at: datetime | None
    result: Metadata


RUN_STATES: Mapping[RunState, TaskState] = {
    RunState.ACTIVE: TaskState.RUNNING,
    RunState.HELD: TaskState.RUNNING,
    RunState.COMMITTED: TaskState.DONE,
    RunState.FAILED: TaskState.FAILED,
    RunState.CANCELLED: TaskState.FAILED,
}
AI_STATES: Mapping[AiState, TaskState] = {
    AiState.NONE: TaskState.ACCEPTED,
    AiState.QUEUED: TaskState.ACCEPTED,
    AiState.RUNNING: TaskState.RUNNING,
    AiState.DONE: TaskState.DONE,
    AiState.FAILED: TaskState.FAILED,
    AiState.SUPERSEDED: TaskState.DONE,
}


def where_its_run_is(task: Task, run: Run | None) -> Task:
    """Return an accepted task in the state of the run, or of the AI phase, that it opened."""
    if task.state is not TaskState.ACCEPTED or run is None:
        return task
    if task.kind == AI_TASK:
        return msgspec.structs.replace(task, state=AI_STATES[run.ai_state])
    return msgspec.structs.replace(task, state=RUN_STATES[run.state], ended_at=run.ended_at)


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


class Audit(Wire, frozen=True):
    """Something an operator did."""

    actor: str
    action: str
    target: str
    detail: Metadata = msgspec.field(default_factory=dict)


class KeptAudit(Audit, frozen=True, kw_only=True):
    """Something an operator did."""

    COMPONENT: ClassVar[str] = "AuditShown"

    id: int
    at: datetime
    brand: str | None = None
    """The brand that it is about; None if it is about none, or about a run that is deleted."""


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
