"""The port RunStore: runs and their items in the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Annotated, Any, Protocol
from uuid import UUID

from msgspec import Meta

from triptych.messages import Message, Phase
from triptych.model import (
    Age,
    Item,
    ItemResult,
    NewItem,
    Policy,
    Reason,
    Run,
    RunKind,
    Slice,
    TimelineEvent,
)
from triptych.runs.run_filter import RunFilter
from triptych.wire import Wire

CLAIM_MAX = 1_000
"""Items that one call marks as sent, at most: they are sent before it returns."""
DETAIL_MAX_CHARS = 500
"""Longer details of a failure are truncated."""
RUN_REASON_MAX_CHARS = 2_000
"""Longer reasons of a run's end are truncated."""
LISTS_SHOWN_MAX = 20
"""Files of a source that the timeline describes; a folder may have thousands."""
REFUSED_ROWS_MAX = 100
"""Refused rows of a run that are kept, with their places; the others are counted."""
COMMIT_GRACE_S = 2.0
"""The sweeper leaves a complete run this long to the worker that completed it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The run that a request opened or joined."""

    run: Run
    created: bool
    """False if the brand's active run, or the run of that id, existed before."""


@dataclass(frozen=True, slots=True)
class RunCounts:
    """Runs that do not go on by themselves."""

    stalled: int
    held: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a flush did."""

    run: Run
    changed: frozenset[bytes]
    """Keys that this flush settled; the others were settled before."""
    dispatch: Sequence[Item]
    """Items newly due to be sent, to keep the dispatch window full."""
    refused: frozenset[bytes] = frozenset()
    """Keys whose object is about to be deleted, or was deleted since it was stored: not settled.
    They have to be acquired again."""


@dataclass(frozen=True, slots=True)
class Due:
    """Runs that need the sweeper, by what they need."""

    commit: Sequence[UUID]
    """Sealed and settled, and still active."""
    seal: Sequence[UUID]
    """Of kind ``add``, without a new item for long enough."""
    resend: Sequence[UUID]
    """Without a change for long enough, with items outstanding or not sent."""
    expire: Sequence[UUID]
    """Past their deadline."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message in the outbox."""

    id: int
    queue: str
    message: Message


class FailedItem(Wire, frozen=True):
    """An item that failed."""

    url: str
    detail: str
    attempts: int
    settled_at: datetime | None


class RefusedRow(Wire, frozen=True):
    """A row of a source that is no item: it names no URL."""

    place: Annotated[str, Meta(description="Where the source has it: `line 7`.")]
    problem: str


class RefusedRows(Wire, frozen=True):
    """The first rows of a run's source that name no URL, in its order."""

    items: list[RefusedRow]
    count: Annotated[int, Meta(description="All of them.")]


@dataclass(frozen=True, slots=True)
class RowsRead:
    """The rows of a page of a source, counted once all its items are stored."""

    count: int
    refused: Sequence[RefusedRow] = ()
    from_start: bool = False
    """The page is the source's first: rows that were counted before are read again."""
    lists: Sequence[Mapping[str, Any]] = ()
    """What the source's files were found to be, for the timeline."""


class PaceBucket(Wire, frozen=True):
    """What settled within a span of time."""

    at: Annotated[datetime, Meta(description="When the span begins.")]
    settled: int
    failed: int
    measured: Annotated[int, Meta(description="Settled items whose latency is known.")]
    """Not those that a run's end settled, nor those that were never sent, nor those that a copy of
    their message settled before they were due."""
    p50_s: Annotated[
        float | None,
        Meta(
            description="Median latency: from when an item was last due to be worked on until it "
            "settled. Null if none was measured."
        ),
    ]
    p95_s: Annotated[float | None, Meta(description="95th percentile of the latencies.")]


class Waits(Wire, frozen=True):
    """What the last items of a run wait for."""

    left: Annotated[int, Meta(description="Items that are not settled.")]
    delayed: Annotated[int, Meta(description="Of them, those that are not due yet.")]
    due_at: Annotated[datetime | None, Meta(description="When the first of those is due.")]
    attempts: Annotated[int | None, Meta(description="Attempts that one has had.")]
    host: Annotated[str | None, Meta(description="The host that one waits for: it is down.")]
    detail: Annotated[str | None, Meta(description="Why its last attempt failed, where known.")]


class LastTry(Wire, frozen=True):
    """The attempt that was counted, or put off, last of all items that are not settled."""

    attempts: Annotated[int, Meta(description="Attempts that its item has had.")]
    tried_at: Annotated[datetime | None, Meta(description="When the last one was counted.")]
    due_at: Annotated[datetime, Meta(description="When its item was, or is, due again.")]
    host: Annotated[str | None, Meta(description="The host that its item waits for: it is down.")]
    detail: Annotated[str | None, Meta(description="Why the attempt failed, where known.")]


class Pace(Wire, frozen=True):
    """How fast a run went, from its beginning until its end or now."""

    width_s: Annotated[float, Meta(description="Seconds that each bucket spans.")]
    each: Annotated[
        int, Meta(description="One item in so many was looked at; counts are multiples of it.")
    ]
    buckets: Annotated[list[PaceBucket], Meta(description="By time; empty spans are left out.")]
    waits: Annotated[
        Waits | None,
        Meta(description="Null unless the run is active, listed in full, and has few items left."),
    ] = None
    last_try: Annotated[
        LastTry | None, Meta(description="Null if no item waits for another attempt.")
    ] = None


class Attempt(Enum):
    """What became of a try that failed."""

    COUNTED = auto()
    """Another may follow."""
    LAST = auto()
    """It used up the item's attempts."""
    STALE = auto()
    """Not counted: a copy of the same message has counted it, or settled the item; or the run has
    ended."""


@dataclass(frozen=True, slots=True)
class PutOff:
    """An item that waits."""

    key: bytes
    delay_s: float
    waits_for: str | None = None
    """The host that did not answer, or is paused; None leaves what the item has, and an empty text
    takes it away."""


class RunStore(Protocol):
    """Runs and their items. A method that changes anything is exactly one transaction.

    Each of those is safe to repeat: it changes only rows that have not changed yet, and returns
    what it changed. Locks are taken items first, by key, then the run; deadlocks and serialisation
    failures are retried inside. Reads take no locks.
    """

    async def open_run(
        self,
        brand: str,
        *,
        run_id: UUID,
        kind: RunKind,
        source: str | None,
        policy: Policy,
        enqueue_gather_message: bool,
        traceparent: str | None = None,
        restores: UUID | None = None,
    ) -> Opened:
        """Open a run, or return the brand's active run, or the run of that id.

        With ``enqueue_gather_message`` the same transaction puts the gather message into the
        outbox. ``restores`` is the run whose snapshot a run of kind ``restore`` publishes again;
        other kinds discard a held run.

        Raises:
            RunActive: the active run gathers another source than ``source``, or a restore finds a
                held run; nothing was changed.
            RunNotFound: ``restores`` is no snapshot of the brand.
            SnapshotCollected: it is no longer kept.
            Conflict: it is the brand's current one.
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
        """Open a run of an ended run's failed items; its staged results move to the new run.

        With ``reasons``, only items that failed for one of them. A run that did not commit is
        redriven as a whole: without its other failures it would commit what its policy refused.
        Safe to repeat: if run ``new_id`` exists it is returned.

        Raises:
            RunNotFound: no such run.
            Conflict: it is still active, it has no such failures, its results are deleted, or
                ``reasons`` were given and it did not commit.
        """
        ...

    async def accept_external(
        self, brand: str, item: NewItem, *, message_id: str, run_id: UUID, policy: Policy
    ) -> Item | None:
        """Take an external URL into the brand's active run, or into an ``add`` run ``run_id``.

        Returns the item's current state, or None when an earlier delivery of the same message
        was settled in a run that has since ended.

        Raises:
            RowLocked: the brand is being restored, and a restore has no items.
        """
        ...

    async def expect(
        self,
        run_id: UUID,
        items: Sequence[NewItem],
        *,
        cursor: str | None,
        limit: int,
        rows: RowsRead | None = None,
    ) -> Sequence[Item]:
        """Add a page of items to an unsealed run; return those now due to be dispatched.

        Keys already there change nothing; refused items enter as failed; ``cursor`` is where
        gathering continues if it is interrupted. At most ``limit`` items are outstanding at a time.
        ``rows`` are the source's rows that the items come from; by default each item is a row.
        Of those refused, the first `REFUSED_ROWS_MAX` of a run are kept, and all are counted.

        Raises:
            RunEnded: the run is not active.
        """
        ...

    async def refused_rows(self, run_id: UUID) -> Sequence[RefusedRow]:
        """Return the refused rows of a run's source that are kept, in its order."""
        ...

    async def claim_window(self, run_id: UUID, *, limit: int) -> Sequence[Item]:
        """Mark unsent items as sent until ``limit`` are outstanding; none if paused or ended.

        At most `CLAIM_MAX` at a call, as in `expect` and `settle`: a run that is behind its window
        catches up as items settle.
        """
        ...

    async def gather_cursor(self, run_id: UUID) -> str | None:
        """Return where gathering of this run continues; None for the beginning."""
        ...

    async def seal(self, run_id: UUID) -> Run:
        """Declare the run's items complete. No change if it is sealed or has ended."""
        ...

    async def settle(
        self, run_id: UUID, results: Sequence[ItemResult], *, limit: int
    ) -> Settlement:
        """Give items their final state and stage their results.

        Raises:
            RunEnded: the run is not active; nothing changed.
        """
        ...

    async def count_attempt(
        self, run_id: UUID, key: bytes, *, seen: int, delay_s: float, detail: str = ""
    ) -> Attempt:
        """Count a failed attempt of an item, unless it has other than the ``seen`` attempts.

        ``seen`` are those that the item had when the try began. The item is not due for
        ``delay_s``: no sweep sends it again before that time. It no longer waits for a host.
        ``detail``, why it failed, is shown while the item waits.
        """
        ...

    async def put_off(self, run_id: UUID, items: Sequence[PutOff]) -> None:
        """Note that items are not due yet, and why: no sweep sends them again before that time.

        An item that is put off to a later time already stays so.
        """
        ...

    async def publish(self, run_id: UUID) -> Run:
        """Commit a held run: see `commit`.

        Raises:
            Conflict: it is not held.
        """
        ...

    async def discard(self, run_id: UUID, reason: str) -> Run:
        """End a held run as cancelled; the brand's snapshot stays what it was.

        Raises:
            Conflict: it is not held.
        """
        ...

    async def overdue_held(self, *, older_s: float, limit: int) -> Sequence[UUID]:
        """Return runs that have been held for longer than ``older_s`` seconds, oldest first."""
        ...

    async def commit(self, run_id: UUID, *, wait: bool = True) -> Run:
        """End a complete run: publish its snapshot, or fail it for too many failures.

        One transaction: assets, the brand's current snapshot, the AI message in the outbox, the
        event, the deletion of the staging. No change unless the rows say that the run is complete.
        A restore whose snapshot is no longer kept fails.

        Args:
            run_id: the run.
            wait: for another transaction that holds the run's lock, for some seconds. If not, and
                there is one, nothing changes.

        Raises:
            RunNotFound: no such run.
            RowLocked: the lock was held for too long.
        """
        ...

    async def expire(self, run_id: UUID) -> Run:
        """At the deadline: settle what is pending as ``timed_out``; fail an unsealed run."""
        ...

    async def fail(self, run_id: UUID, reason: str, *, gives_back: bool = False) -> Run:
        """End an active run as failed; its pending items are cancelled.

        ``gives_back``: if the run brought its brand's source and has read no row of it, the brand
        has the source again that it had before, or none.
        """
        ...

    async def cancel(self, run_id: UUID) -> Run:
        """End an active run as cancelled, its pending items too; drop its staging."""
        ...

    async def pause(self, run_id: UUID, *, paused: bool) -> Run:
        """Stop or resume dispatching.

        Raises:
            RunEnded: the run is not active.
        """
        ...

    async def due(self, *, idle_s: float, quiet_s: float, limit: int) -> Due:
        """Return runs that need the sweeper; runs that others have locked are left out."""
        ...

    async def claim_resend(self, run_id: UUID, *, interval_s: float, limit: int) -> Sequence[Item]:
        """Mark outstanding items of a quiet run as sent again.

        An item is due ``interval_s`` after it was sent, twice that after the second time, and
        so on.

        Raises:
            RunEnded: the run is paused or not active; nothing changed.
        """
        ...

    async def mark_stalled(
        self, *, after_s: float, limit: int, held_up: Collection[Phase] = ()
    ) -> Sequence[UUID]:
        """Note which active runs are stalled, and which no longer are; return those that changed.

        A run is stalled when, for longer than ``after_s`` seconds, no item of it was gathered or
        settled, none had an attempt counted, and it was neither opened, sealed nor resumed. Not
        stalled: a run that is paused, and one all of whose sent items have a known time at which
        they are tried next that is still to come, or that came less than ``after_s`` ago (a
        back-off, a host that does not answer, Retry-After). Nor is one that only waits for a phase
        that an operator has paused, of those ``held_up``: gathering before it is sealed, acquiring
        while items are out.

        The timeline of one that becomes stalled says so. At most ``limit`` runs are looked at,
        those that have been quiet for the longest first. Runs that others have locked are left
        out: they move. What is progress, and what pauses or ends a run, takes the note away in the
        same transaction.
        """
        ...

    async def counts(self) -> RunCounts:
        """Return how many runs are noted as stalled, and how many are held."""
        ...

    async def outbox_pending(
        self, *, run_id: UUID | None, older_s: float, limit: int
    ) -> Sequence[Outgoing]:
        """Return messages in the outbox, of one run or of all."""
        ...

    async def mark_sent(self, ids: Sequence[int]) -> None:
        """Remove these messages from the outbox."""
        ...

    async def request_ai(self, brand: str) -> Run:
        """Queue the AI phase of the brand's snapshot and put its message into the outbox.

        While the phase runs, nothing changes.

        Raises:
            BrandNotFound: there is no such brand.
            Conflict: it has no snapshot yet.
        """
        ...

    async def run(self, run_id: UUID) -> Run:
        """Return a run.

        Raises:
            RunNotFound: there is none of that id.
        """
        ...

    async def runs(self, brand: str | None, *, limit: int) -> Sequence[Run]:
        """Return the newest runs, of one brand or of all."""
        ...

    async def runs_of(self, run_ids: Sequence[UUID]) -> Sequence[Run]:
        """Return those of the runs that exist, in no order."""
        ...

    async def items(self, run_id: UUID, keys: Sequence[bytes]) -> Sequence[Item]:
        """Return those of the items that exist, with the whole of their source.

        None when the run has ended.
        """
        ...

    async def timeline(self, run_id: UUID, *, after: int, limit: int) -> Sequence[TimelineEvent]:
        """Return a run's events after seq ``after``."""
        ...

    async def runs_slice(
        self, wanted: RunFilter, *, before: Age | None, limit: int
    ) -> Slice[Run, Age]:
        """Return the runs that a filter takes, newest first."""
        ...

    async def failure_counts(self, run_id: UUID) -> Sequence[tuple[str, int]]:
        """Count a run's failed items by reason, the most frequent first."""
        ...

    async def failed_items(
        self, run_id: UUID, reason: str, *, after: int, limit: int
    ) -> Slice[FailedItem, int]:
        """Return the items of a run that failed for one reason, in order of dispatch."""
        ...

    async def pace(self, run_id: UUID) -> Pace:
        """Return how fast a run went, from a bounded sample of its items.

        Empty for a run that does not exist, or whose items are no longer kept.
        """
        ...
