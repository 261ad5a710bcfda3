"""The port PresenceStore: the presence of workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Protocol
from uuid import UUID

from triptych.wire import Wire

BEAT_S = 5.0
"""Approximate interval of a worker's heartbeats."""
SILENT_S = 3.5 * BEAT_S
"""A worker without a heartbeat for this long counts as gone: three beats may be lost."""


WORKERS_MAX = 1_000
"""The most workers that are listed, longest-lived first."""


class WorkerState(Wire, frozen=True):
    """A worker's current state; a later one replaces it."""

    id: UUID
    host: str
    pid: int
    version: str
    phases: Sequence[str]
    doing: Mapping[str, int]
    """Number of messages it holds, by queue."""
    stopping: bool
    started_at: datetime


class SeenWorker(WorkerState, frozen=True, kw_only=True):
    """A worker."""

    COMPONENT: ClassVar[str] = "WorkerShown"

    alive: bool
    """Whether it was heard of within `SILENT_S`."""
    silent_s: float
    """Since it was heard of."""


class PresenceStore(Protocol):
    """Heartbeats of workers."""

    async def beat(self, worker: WorkerState, *, forget_s: float) -> None:
        """Replace a worker's state; forget workers that were silent for ``forget_s``."""
        ...

    async def leave(self, worker_id: UUID) -> None:
        """Forget a worker that has stopped."""
        ...

    async def workers(self, *, limit: int) -> Sequence[SeenWorker]:
        """Return the workers, longest-lived first."""
        ...
