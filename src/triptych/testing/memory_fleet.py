"""How many workers acquire, and how many runs have something for them, in memory."""

from __future__ import annotations

from typing_extensions import override

from triptych.model import RunState
from triptych.runs.fleet_store import Fleet, FleetStore
from triptych.testing.memory_state import MemoryState


class MemoryFleetStore(FleetStore):
    """`FleetStore` in memory. There are as many workers as a test says."""

    def __init__(self, state: MemoryState, *, workers: int = 0) -> None:
        self._state = state
        self.workers = workers

    @override
    async def fleet(self) -> Fleet:
        runs = [
            row
            for row in self._state.runs.values()
            if row.run.state is RunState.ACTIVE
            and not row.run.paused
            and row.next_dispatch < row.next_position
        ]
        return Fleet(self.workers, len(runs))
