"""The port RetentionStore: deletes what is no longer kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID


class RetentionStore(Protocol):
    """Transactions that delete. Each is safe to repeat, and any number of processes may call them.

    An object is deleted only after it was unused for a grace period, was then condemned, which
    every settle checks, and was found unused again some time later.
    """

    async def take_turn(self, name: str, *, every_s: float) -> bool:
        """Return whether it is the caller's turn to do ``name``, once in ``every_s`` seconds."""
        ...

    async def collect_snapshots(self, *, keep: int, min_age_s: float) -> int:
        """Declare snapshots collected, except each brand's newest ``keep`` and younger ones.

        Readers are refused from then on. A brand's current snapshot is never collected.
        """
        ...

    async def collect_attempts(self, *, min_age_s: float) -> int:
        """Declare runs collected that ended without a snapshot that long ago."""
        ...

    async def runs_to_empty(self, *, limit: int) -> Sequence[UUID]:
        """Return collected runs that still have rows, the longest collected first."""
        ...

    async def empty_run(self, run_id: UUID, *, limit: int) -> bool:
        """Remove at most ``limit`` rows of each kind of a collected run; True if none is left."""
        ...

    async def drop_timelines(self, *, older_s: float, limit: int) -> int:
        """Remove at most ``limit`` events of runs that ended that long ago."""
        ...

    async def drop_deliveries(self, *, older_s: float) -> None:
        """Delete webhook deliveries that ended that long ago."""
        ...

    async def condemn_objects(self, *, grace_s: float, limit: int) -> int:
        """Keep objects that rows point to; condemn those unused for ``grace_s``."""
        ...

    async def condemned_objects(self, *, settled_s: float, limit: int) -> Sequence[str]:
        """Return the keys of unused objects that were condemned at least ``settled_s`` ago.

        There are none while a backup copies objects.
        """
        ...

    async def objects_deleted(self, keys: Sequence[str]) -> None:
        """Record these as deleted: a settle whose object was stored before now is refused."""
        ...

    async def drop_tombstones(self, *, older_s: float) -> None:
        """Remove the records of deleted objects, once no run can have stored them before."""
        ...

    async def delete_brand(self, brand: str, *, limit: int) -> bool:
        """Remove a brand that is being deleted, at most ``limit`` rows of each kind at a time.

        True when nothing is left of it. An active run of it must be cancelled first.

        Raises:
            Conflict: it has an active run.
        """
        ...
