"""The port HistoryStore: what happened to a brand, in one order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from triptych.model import Slice
from triptych.tasks.task_store import KeptAudit


class Happened(StrEnum):
    """What an entry of a brand's history says."""

    OPENED = "opened"
    """A run was opened."""
    COMMITTED = "committed"
    """A run ended, and what it acquired became the brand's snapshot."""
    RESTORED = "restored"
    """A run ended, and an older snapshot became the brand's snapshot again."""
    HELD = "held"
    """A run would remove much, and waits for a decision."""
    FAILED = "failed"
    """A run ended without a snapshot."""
    CANCELLED = "cancelled"
    """A run was stopped, or discarded; it has no snapshot."""
    REMOVED = "removed"
    """A run's snapshot is no longer kept."""
    ACTION = "action"
    """An operator did something to the brand, or to a run or a snapshot of it."""


@dataclass(frozen=True, slots=True)
class HistoryPosition:
    """Where an entry is in a brand's history."""

    at: datetime
    rank: int
    """Of its kind among entries of one time: what was opened had not ended before."""
    key: str
    """Of the entry among those of its kind."""


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """An entry of a brand's history as it is stored."""

    at: datetime
    kind: Happened
    run_id: UUID | None
    """The run that it is about; None for an action."""
    action: KeptAudit | None


class HistoryStore(Protocol):
    """Histories of brands. Read only; reads take no locks."""

    async def history_slice(
        self, brand: str, *, before: HistoryPosition | None, limit: int, actions: bool
    ) -> Slice[HistoryRow, HistoryPosition]:
        """Return what happened to a brand, the newest first; without ``actions``, not those.

        Runs that are deleted are left out, and so are actions on them from before their brand was
        noted with them. A brand that does not exist has at most actions.
        """
        ...
