"""Which runs a listing has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from triptych.model import Run, RunKind, RunState


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What runs have to be like to be listed; by default, all are."""

    brand: str | None = None
    states: frozenset[RunState] = frozenset()
    """Runs in one of these states; empty: in any."""
    kinds: frozenset[RunKind] = frozenset()
    """Runs of one of these kinds; empty: of any."""
    since: datetime | None = None
    """Opened at this time or later."""
    until: datetime | None = None
    """Opened before this time."""
    stalled: bool = False
    """Only runs of which nothing moves; with ``held``, those and held ones."""
    held: bool = False
    """Only runs that wait for a decision; with ``stalled``, those and stalled ones."""

    @property
    def wanted_states(self) -> frozenset[RunState]:
        """The states that a run of the listing can be in."""
        waiting = frozenset(
            state
            for state, asked in ((RunState.ACTIVE, self.stalled), (RunState.HELD, self.held))
            if asked
        )
        return (self.states or frozenset(RunState)) & (waiting or frozenset(RunState))

    def takes(self, run: Run) -> bool:
        """Return whether a run is listed."""
        return (
            self.brand in (None, run.brand)
            and run.state in self.wanted_states
            and (not self.stalled or run.stalled or run.state is RunState.HELD)
            and (not self.kinds or run.kind in self.kinds)
            and (self.since is None or run.created_at >= self.since)
            and (self.until is None or run.created_at < self.until)
        )
