"""The port PresenceStore: which workers are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Protocol
from uuid import UUID

from triptych.wire import Wire

BEAT_S = 5.0
"""Workers say that they are there about this often."""
SILENT_S = 3.5 * BEAT_S
"""A worker that was not heard of for so long counts as gone: three beats may be lost."""


WORKERS_MAX = 1_000
"""Workers that are shown, the longest-lived first."""


class WorkerState(Wire, frozen=True):
    """A worker's present state; what a later one says replaces it."""

    id: UUID
    host: str
    pid: int
    version: str
    phases: Sequence[str]
    doing: Mapping[str, int]
    """Messages it holds, by queue."""
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
    """Workers say that they are there."""

    async def beat(self, worker: WorkerState, *, forget_s: float) -> None:
        """Replace what is known of a worker; forget those silent for ``forget_s``."""
        ...

    async def leave(self, worker_id: UUID) -> None:
        """Forget a worker that has stopped."""
        ...

    async def workers(self, *, limit: int) -> Sequence[SeenWorker]:
        """Return the workers, the longest-lived first."""
        ...
