"""The port Steering: what operators ask for beside opening and steering runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from triptych.model import Run


@dataclass(frozen=True, slots=True)
class DueBrand:
    """A brand whose schedule wants a run now."""

    name: str
    schedule: str
    due_at: datetime


class Steering(Protocol):
    """Each method is exactly one transaction and safe to repeat."""

    async def put_brand(
        self, name: str, *, source: str | None, schedule: str | None, due_at: datetime | None
    ) -> None:
        """Make a brand, or replace its source and schedule.

        ``due_at`` is when the schedule opens its first run; a schedule that stays keeps its own.

        Raises:
            Conflict: the brand is being deleted.
        """
        ...

    async def due_brands(self, *, limit: int) -> Sequence[DueBrand]:
        """Return brands whose schedule wants a run, the longest due first."""
        ...

    async def advance_schedule(self, name: str, *, seen: datetime, due_at: datetime | None) -> bool:
        """Set when the next run is due, if it still was ``seen``; tell whether it was."""
        ...

    async def request_ai(self, brand: str) -> Run:
        """Queue the AI phase of the brand's snapshot and owe its message.

        While the phase runs, nothing changes.

        Raises:
            BrandNotFound: there is no such brand.
            Conflict: it has no snapshot yet.
        """
        ...

    async def redrive_letters(
        self, *, ids: Sequence[int] | None, queue: str | None, limit: int
    ) -> int:
        """Owe dead letters to the queues they came from, and mark them; return how many.

        Each goes out once, as a stranger's message: what it belonged to has ended. Letters of
        active runs, redriven ones and those whose body is no object are passed over.
        """
        ...
