"""The port RetentionStore: deletes what is no longer kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID


class RetentionStore(Protocol):
    """Transactions that delete. Each is safe to repeat, and any number of processes may call them.

    An object is deleted only after nothing pointed to it for a grace period, then was condemned,
    which no settle overlooks, and was found unused once more a while later.
    """

    async def take_turn(self, name: str, *, every_s: float) -> bool:
        """Tell whether the caller is the one who does ``name`` now, once in ``every_s`` seconds."""
        ...

    async def collect_snapshots(self, *, keep: int, min_age_s: float) -> int:
        """Declare snapshots collected, except each brand's newest ``keep`` and younger ones.

        Readers are refused from then on. A brand's current snapshot is never collected.
        """
        ...

    async def collect_attempts(self, *, min_age_s: float) -> int:
        """Declare runs collected that ended without a snapshot so long ago."""
        ...

    async def runs_to_empty(self, *, limit: int) -> Sequence[UUID]:
        """Return collected runs that still have rows, the longest collected first."""
        ...

    async def empty_run(self, run_id: UUID, *, limit: int) -> bool:
        """Remove at most ``limit`` rows of each kind of a collected run; True if none is left."""
        ...

    async def drop_timelines(self, *, older_s: float, limit: int) -> int:
        """Remove at most ``limit`` events of runs that ended so long ago."""
        ...

    async def drop_deliveries(self, *, older_s: float) -> None:
        """Forget deliveries to webhooks that ended so long ago."""
        ...

    async def condemn_objects(self, *, grace_s: float, limit: int) -> int:
        """Spare what rows point to; condemn what they have not pointed to for ``grace_s``."""
        ...

    async def condemned_objects(self, *, settled_s: float, limit: int) -> Sequence[str]:
        """Return the keys of unused objects that were condemned at least ``settled_s`` ago."""
        ...

    async def objects_deleted(self, keys: Sequence[str]) -> None:
        """Note that these are gone: what put one before now, and settles later, is refused."""
        ...

    async def drop_tombstones(self, *, older_s: float) -> None:
        """Forget deleted objects, once no run is left that could have put them before."""
        ...

    async def delete_brand(self, brand: str, *, limit: int) -> bool:
        """Remove a brand that is being deleted, at most ``limit`` rows of each kind at a time.

        True when nothing is left of it. An active run of it must be cancelled first.

        Raises:
            Conflict: it has an active run.
        """
        ...
