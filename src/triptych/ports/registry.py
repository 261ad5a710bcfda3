"""The port Registry: the transactions of the Active Brand Registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from triptych.messages import Message
from triptych.model import (
    Item,
    ItemResult,
    Metadata,
    NewItem,
    Policy,
    Reason,
    Run,
    RunKind,
)


@dataclass(frozen=True, slots=True)
class Opened:
    """The run that a request now has."""

    run: Run
    created: bool
    """False when the brand's active run, or the run of that id, was there before."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a flush did."""

    run: Run
    changed: frozenset[bytes]
    """Keys that this flush settled; the others were settled before."""
    dispatch: Sequence[Item]
    """Items newly due to be sent, to keep the dispatch window full."""
    refused: frozenset[bytes] = frozenset()
    """Keys whose object is about to be deleted, or was since it was put: not settled. They have
    to be acquired again."""


@dataclass(frozen=True, slots=True)
class Due:
    """Runs that want the sweeper, by what they want."""

    commit: Sequence[UUID]
    """Sealed and settled, and still active."""
    seal: Sequence[UUID]
    """Of kind ``add``, without a newcomer for long enough."""
    resend: Sequence[UUID]
    """Standing still with work out or not sent."""
    expire: Sequence[UUID]
    """Past their deadline."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that a committed transaction owes to a queue."""

    id: int
    queue: str
    message: Message


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be processed, kept to be read and redriven."""

    queue: str
    message_id: str
    body: Any
    headers: Metadata
    reason: str
    run_id: UUID | None


class Registry(Protocol):
    """The transactions of the Active Brand Registry. Each method is exactly one transaction.

    Every one is safe to repeat: it changes only rows that have not changed yet, and tells what
    it changed. Locks are taken items first, by key, then the run; deadlocks and serialisation
    failures are retried inside.
    """

    async def open_run(
        self,
        brand: str,
        *,
        run_id: UUID,
        kind: RunKind,
        source: str | None,
        policy: Policy,
        owe_gather: bool,
        traceparent: str | None = None,
    ) -> Opened:
        """Open a run, or return the brand's active run, or the run of that id.

        With ``owe_gather`` the run's gather message is owed by the same transaction.
        """
        ...

    async def redrive_run(
        self,
        run_id: UUID,
        *,
        new_id: UUID,
        policy: Policy,
        reasons: Sequence[Reason] | None = None,
    ) -> Opened:
        """Open a run of an ended run's failed items; what it had done and staged moves along.

        With ``reasons`` only items that failed for one of them. A run that did not commit is tried
        again as a whole: without its other failures it would commit what its policy refused.
        Safe to repeat: a run ``new_id`` that is there is returned.

        Raises:
            RunNotFound: no such run.
            Conflict: it is still active, nothing of it failed so, its results are gone, or
                ``reasons`` were given and it did not commit.
        """
        ...

    async def adopt(
        self, brand: str, item: NewItem, *, message_id: str, run_id: UUID, policy: Policy
    ) -> Item | None:
        """Take a stranger's URL into the brand's active run, or into an ``add`` run ``run_id``.

        Returns the item as it now stands, or None when an earlier delivery of the same message
        was settled in a run that has since ended.
        """
        ...

    async def expect(
        self, run_id: UUID, items: Sequence[NewItem], *, cursor: str | None, limit: int
    ) -> Sequence[Item]:
        """Add a page of items to an unsealed run; return those now due to be dispatched.

        Keys already there change nothing; refused items enter as failed; ``cursor`` is where
        gathering goes on should it be interrupted. At most ``limit`` items are out at a time.

        Raises:
            RunEnded: the run is not active.
        """
        ...

    async def claim_window(self, run_id: UUID, *, limit: int) -> Sequence[Item]:
        """Mark unsent items as sent until ``limit`` are out; none of a paused or ended run."""
        ...

    async def gather_cursor(self, run_id: UUID) -> str | None:
        """Return where gathering of this run goes on; None for the beginning."""
        ...

    async def seal(self, run_id: UUID) -> Run:
        """Declare the run's items complete. No change when sealed or ended before."""
        ...

    async def settle(
        self, run_id: UUID, results: Sequence[ItemResult], *, limit: int
    ) -> Settlement:
        """Give items their final state and stage what they brought.

        Raises:
            RunEnded: the run is not active; nothing changed.
        """
        ...

    async def count_attempt(self, run_id: UUID, key: bytes, *, delay_s: float) -> bool:
        """Count a failed attempt of an item, to be retried in ``delay_s``; True if it was the last.

        No sweep sends the item again before that time.
        """
        ...

    async def put_off(self, run_id: UUID, key: bytes, *, delay_s: float) -> None:
        """Note that an item waits for ``delay_s``: no sweep sends it again before that time."""
        ...

    async def commit(self, run_id: UUID) -> Run:
        """End a complete run: publish its snapshot, or fail it for too many failures.

        One transaction: assets, the brand's current snapshot, the AI message owed, the event,
        the staging's end. No change unless the rows say that the run is complete.
        """
        ...

    async def expire(self, run_id: UUID) -> Run:
        """At the deadline: settle what is pending as ``timed_out``; fail an unsealed run."""
        ...

    async def fail(self, run_id: UUID, reason: str) -> Run:
        """End an active run as failed; its pending items are cancelled."""
        ...

    async def cancel(self, run_id: UUID) -> Run:
        """End an active run as cancelled, its pending items too; drop its staging."""
        ...

    async def pause(self, run_id: UUID, *, paused: bool) -> Run:
        """Stop or go on dispatching.

        Raises:
            RunEnded: the run is not active.
        """
        ...

    async def due(self, *, idle_s: float, stalled_s: float, limit: int) -> Due:
        """Return runs that want the sweeper; ones locked by others are left to them."""
        ...

    async def claim_resend(self, run_id: UUID, *, interval_s: float, limit: int) -> Sequence[Item]:
        """Mark as sent again what is out of a run that stands still.

        An item is due ``interval_s`` after it was sent, twice that after the second time, and
        so on.

        Raises:
            RunEnded: the run is paused or not active; nothing changed.
        """
        ...

    async def owed(self, *, run_id: UUID | None, older_s: float, limit: int) -> Sequence[Outgoing]:
        """Return messages owed and not marked sent; of one run, or of all."""
        ...

    async def mark_sent(self, ids: Sequence[int]) -> None:
        """Take these off what is owed."""
        ...

    async def bury(self, letter: DeadLetter) -> None:
        """Keep a dead letter. Safe to repeat: one row a message."""
        ...
