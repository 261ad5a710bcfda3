"""The port PresenceStore: the list of workers, from their heartbeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

BEAT_S = 5.0
"""Seconds between two heartbeats of a worker."""
SILENT_S = 3.5 * BEAT_S
"""A worker without a heartbeat for this long counts as gone: three may be lost."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker's current state, replaced by each heartbeat."""

    id: UUID
    host: str
    pid: int
    version: str
    phases: Sequence[str]
    doing: Mapping[str, int]
    """Messages it holds, by queue."""
    stopping: bool
    started_at: datetime


@dataclass(frozen=True, slots=True)
class SeenWorker:
    """A worker, and the time since its last heartbeat."""

    worker: WorkerState
    silent_s: float


class PresenceStore(Protocol):
    """Heartbeats of workers. Each method is one transaction."""

    async def beat(self, worker: WorkerState, *, forget_s: float) -> None:
        """Store a worker's heartbeat; delete workers silent for ``forget_s``."""
        ...

    async def leave(self, worker_id: UUID) -> None:
        """Delete a worker that has stopped."""
        ...

    async def workers(self, *, limit: int) -> Sequence[SeenWorker]:
        """Return the workers, the longest-lived first."""
        ...
