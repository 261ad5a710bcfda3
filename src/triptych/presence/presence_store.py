"""The port PresenceStore: the list of workers, from their heartbeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Protocol
from uuid import UUID

import msgspec
from msgspec import Meta

from triptych.fetch.host_limit import HostTraffic
from triptych.wire import Wire

BEAT_S = 5.0
"""Seconds between two heartbeats of a worker."""
SILENT_S = 3.5 * BEAT_S
"""A worker without a heartbeat for this long counts as gone: three may be lost."""


WORKERS_MAX = 1_000
"""Workers that are listed, the oldest first."""


HELD_SHOWN = 5
"""Messages of a worker that are shown, those that it has held longest."""
TRAFFIC_SHOWN = 20
"""Hosts of a worker that are shown, the busiest first."""


class HeldMessage(Wire, frozen=True):
    """A message that a worker has taken and not answered yet."""

    queue: str
    brand: Annotated[str | None, Meta(description="Null if the message names none.")]
    host: Annotated[str | None, Meta(description="Of its URL; null if it has none.")]
    seconds: Annotated[float, Meta(description="For how long the worker has held it.")]


class WorkerState(Wire, frozen=True):
    """A worker's current state, replaced by each heartbeat."""

    id: UUID
    host: Annotated[str | None, Meta(description="Null for readers.")]
    pid: Annotated[int | None, Meta(description="Null for readers.")]
    version: str
    phases: Sequence[str]
    doing: Mapping[str, int]
    """Messages it holds, by queue."""
    stopping: bool
    started_at: datetime
    memory_bytes: Annotated[
        int | None,
        Meta(
            description="Resident memory of its process and of its child processes; what they "
            "share is counted once for each. Null where the system does not say."
        ),
    ] = None
    per_second: Annotated[
        Mapping[str, float],
        Meta(description="Messages that it finished a second since its last heartbeat, by queue."),
    ] = msgspec.field(default_factory=dict)
    held: Annotated[
        Sequence[HeldMessage],
        Meta(description=f"What it holds: the {HELD_SHOWN} messages that it took first."),
    ] = ()
    hosts: Annotated[
        Sequence[HostTraffic],
        Meta(description=f"Hosts that it sends requests to: the {TRAFFIC_SHOWN} busiest."),
    ] = ()


class SeenWorker(WorkerState, frozen=True, kw_only=True):
    """A worker."""

    COMPONENT: ClassVar[str] = "WorkerShown"

    alive: bool
    """Whether it sent a heartbeat within `SILENT_S`."""
    silent_s: float
    """Seconds since its last heartbeat."""

    def for_readers(self) -> SeenWorker:
        """Return it without what tells of the installation's machines: its host and process."""
        return msgspec.structs.replace(self, host=None, pid=None)


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
