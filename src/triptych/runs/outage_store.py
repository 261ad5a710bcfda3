"""The port OutageStore: which hosts do not answer a run, and for how long it has waited for them.

It is the memory that all workers of a run share, and that outlives each of them: a run's patience
with a host is counted once, however many workers, restarts and items there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from triptych.fetch.down_hosts import PAUSE_MAX_S

HOSTS_WAITED_FOR_MAX = 100
"""Hosts that one run waits for at a time, or a few more if several are noted at the same moment.
Their items are a part of its dispatch window: with thousands of dead hosts in a list, the window
would hold nothing else."""
SHOWN_AFTER_S = 5.0
"""Shorter outages are not in the timeline."""
GAP_SHARE = 1 / 4
"""Of the patience: as much counts, of the time between two failures, as waited for."""
STALE_S = 150.0
"""An outage that was given up, and not seen for so long, starts over: ten of the longest pauses."""
PAUSE_GROWTH = 0.5
"""The pause before an item's next try, as a share of what its run has waited for the host."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A host that does not answer a run."""

    waited_s: float
    """For how long the run has waited for it."""
    over: bool
    """Whether the run's patience with it is over."""

    @property
    def pause_s(self) -> float:
        """Seconds until a waiting item is tried again; longer after each failure of any worker."""
        return min(self.waited_s * PAUSE_GROWTH, PAUSE_MAX_S)


class OutageStore(Protocol):
    """Outages of hosts, by run. They are forgotten when their run ends."""

    async def note(
        self, run_id: UUID, hosts: Sequence[str], *, patience_s: float
    ) -> Mapping[str, Outage]:
        """Note that hosts do not answer; return the outages that the run waits for.

        A host is missing in the answer if the run already waits for `HOSTS_WAITED_FOR_MAX` others,
        or is not active. An outage that has lasted `SHOWN_AFTER_S` is shown in the timeline, once.
        """
        ...

    async def end(self, run_id: UUID, hosts: Sequence[str]) -> None:
        """Forget outages: the hosts have answered. Safe to repeat.

        Raises:
            RowLocked: the run is locked for long.
        """
        ...
