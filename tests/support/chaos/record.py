"""What a trial did itself: so that what happened besides is seen."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.chaos.poison import Poison
from tests.support.chaos.processes import Role

AFTERWARDS_S = 15.0
"""Seconds after an outage in which a process that was starting may still end because of it."""


@dataclass(frozen=True)
class SentPoison:
    """A message that is none, and was sent."""

    queue: str
    poison: Poison
    message_id: str


@dataclass
class Record:
    """All times are those of `time.time`."""

    began: float = field(default_factory=time.time)
    lines: list[str] = field(default_factory=list)
    """Each action and what became of it, in the order of their ends."""
    kills: Counter[Role] = field(default_factory=Counter)
    """SIGKILLs that were sent."""
    stops: Counter[Role] = field(default_factory=Counter)
    """SIGTERMs that were sent."""
    outages: list[tuple[float, float]] = field(default_factory=list)
    """When the database, the queues or the store were away: a process that starts then may end."""
    poisons: list[SentPoison] = field(default_factory=list)
    lost_poisons: int = 0
    """Those whose answer was lost: they may exist."""
    doubled: int = 0
    violations: list[str] = field(default_factory=list)
    """Found while it ran."""

    def note(self, text: str) -> None:
        self.lines.append(f"{time.time() - self.began:5.1f} s  {text}")

    @contextmanager
    def outage(self) -> Iterator[None]:
        began = time.time()
        try:
            yield
        finally:
            self.outages.append((began, time.time()))

    def excused(self, at: float) -> bool:
        """Return whether a process that ended by itself then may have, for an outage of ours."""
        return any(began <= at <= ended + AFTERWARDS_S for began, ended in self.outages)
