"""What a trial needs of a shape: its addresses, its processes, and what only it can suffer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from tests.support.chaos.processes import PostgresProcesses, Processes
from tests.support.chaos.raw_queues import RawQueues
from tests.support.chaos.record import Record
from tests.support.chaos.schedule import Action, Kind
from tests.support.chaos.service import Exit
from tests.support.chaos.trial_database import TrialDatabase

Own = Callable[[Action], Awaitable[str]]
"""Does an action; returns what became of it."""

QUICK: Mapping[str, object] = {
    "embedder": "none",
    "fetch_allow": "127.0.0.0/8",
    "api_rate": 100_000,
    "api_burst": 100_000,
    "visibility_s": 5,
    "sweep_s": 0.5,
    "quiet_s": 3,
    "resend_s": 4,
    "outbox_s": 1,
    "add_idle_s": 1.5,
    "drain_s": 5,
    "dispatch_window": 40,
    "flush_items": 20,
    "fetch_deadline_s": 20,
    "keep_snapshots": 100,
}
"""Settings of all trials: what is lost is noticed within seconds. Attempts and receives are those
that users have."""
WORKERS = 2


def settings_environment(knobs: Mapping[str, object]) -> dict[str, str]:
    return {f"TRIPTYCH_{name.upper()}": str(value) for name, value in knobs.items()}


class Shape(Protocol):
    """One running shape. It is an asynchronous context manager, too."""

    folder: Path
    url: str
    """Where the API answers."""
    live_url: str
    key: str | None
    database: TrialDatabase
    queues: RawQueues
    processes: Processes
    postgres: PostgresProcesses
    record: Record
    own: Mapping[Kind, Own]
    """The actions that only this shape has."""

    async def start(self, source: str) -> None:
        """Start everything, with a source for brands that have none; return when it answers."""
        ...

    async def stop(self) -> list[str]:
        """Stop everything; return what went wrong in that."""
        ...

    def exits(self) -> list[Exit]:
        """Return all ends of processes that are to run on."""
        ...

    def logs(self) -> Iterable[Path]:
        """Return the files that our processes write to."""
        ...

    async def objects(self) -> dict[str, bytes]:
        """Return all that the object store holds."""
        ...

    async def clean(self, *, keep: bool) -> None:
        """End what still runs, and remove what is not to be kept."""
        ...
