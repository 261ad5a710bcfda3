"""The port FleetStore: how many workers acquire, and how many runs have something for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Fleet:
    """What dispatch windows are computed from."""

    workers: int
    """Workers that acquire, are alive and are not stopping. Lambda functions are not counted."""
    runs: int
    """Active runs, not paused, that have items which were never sent."""


class FleetStore(Protocol):
    """Counts workers and runs. Each method is one transaction."""

    async def fleet(self) -> Fleet:
        """Count them. A worker is alive as `triptych.presence` has it: by its heartbeat."""
        ...
