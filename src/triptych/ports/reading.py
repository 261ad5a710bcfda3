"""The port Reading: what readers ask of the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from triptych.model import Asset, Brand, Insight, Item, Metadata, Run, Staged, TimelineEvent
from triptych.ports.registry import DeadLetter


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """The failed items of a run that share a reason."""

    reason: str
    count: int
    examples: Sequence[tuple[str, str]]
    """Up to a few (url, detail)."""


@dataclass(slots=True)
class News:
    """What has changed since the last news: hints, each to be followed by a look."""

    runs: dict[UUID, int | None] = field(default_factory=dict)
    """With the version that a run has reached, where it is known."""
    brands: set[str] = field(default_factory=set)
    """Made, changed or deleted; not those of which only a run has changed."""
    tasks: set[UUID] = field(default_factory=set)
    queues: bool = False
    """Something was put into a queue. Queues elsewhere tell nothing."""
    everything: bool = False
    """Notifications were missed: anything may have changed."""


class Feed(Protocol):
    """What changes, while it changes."""

    async def news(self) -> News:
        """Wait until something has changed, and return all that has."""
        ...


class Reading(Protocol):
    """What readers ask. None of it locks."""

    async def brands(self) -> Sequence[Brand]:
        """Return every brand by name."""
        ...

    async def brand(self, name: str) -> Brand:
        """Return a brand.

        Raises:
            BrandNotFound: there is none of that name.
        """
        ...

    async def brands_of(self, names: Sequence[str], run_ids: Sequence[UUID]) -> Sequence[Brand]:
        """Return the brands that are named, and those of the runs; without those not there."""
        ...

    async def runs_of(self, run_ids: Sequence[UUID]) -> Sequence[Run]:
        """Return those of the runs that are there, in no order."""
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

    async def items(self, run_id: UUID, keys: Sequence[bytes]) -> Sequence[Item]:
        """Return those of the items that exist; none when the run has ended."""
        ...

    async def known_assets(self, brand: str, keys: Sequence[bytes]) -> dict[bytes, Staged]:
        """Return what the brand's current snapshot has of these URLs."""
        ...

    async def failures(self, run_id: UUID, *, examples: int) -> Sequence[FailureGroup]:
        """Return a run's failed items grouped by reason, most frequent first."""
        ...

    async def assets(self, run_id: UUID, *, after: bytes | None, limit: int) -> Sequence[Asset]:
        """Return a page of a snapshot's assets in key order, behind the key ``after``.

        Raises:
            RunNotFound: no such run, or its brand was deleted.
            SnapshotCollected: it is no longer kept.
        """
        ...

    async def assets_of(self, run_id: UUID, keys: Sequence[bytes]) -> dict[bytes, Asset]:
        """Return those of the assets that a snapshot has; none of one that is no longer kept."""
        ...

    def stream_assets(self, run_id: UUID, *, batch: int) -> AsyncIterator[Sequence[Asset]]:
        """Yield a whole snapshot in key order, ``batch`` assets at a time.

        Raises:
            RunNotFound, SnapshotCollected: as `assets` does; also in the middle.
        """
        ...

    async def insights(self, run_id: UUID) -> Sequence[Insight]:
        """Return what the AI phase found in a snapshot."""
        ...

    async def marks(self, run_id: UUID, keys: Sequence[bytes]) -> dict[bytes, Metadata]:
        """Return what the AI phase says of these assets of a snapshot, by the marks' names."""
        ...

    async def marked(
        self, run_id: UUID, *, after: bytes | None, limit: int
    ) -> dict[bytes, Metadata]:
        """Return a page of what is said of a snapshot's assets, in key order, behind ``after``."""
        ...

    async def timeline(self, run_id: UUID, *, after: int, limit: int) -> Sequence[TimelineEvent]:
        """Return a run's events behind seq ``after``."""
        ...

    async def dead_letters(self, *, limit: int) -> Sequence[tuple[datetime, DeadLetter]]:
        """Return the newest dead letters."""
        ...

    def feed(self, *, catch_up_s: float) -> AbstractAsyncContextManager[Feed]:
        """Listen for changed runs, brands and queues.

        Notifications may be lost: every ``catch_up_s`` the feed looks for itself which runs have
        changed, and after a lost connection it says that everything may have.
        """
        ...

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[UUID]]:
        """Listen for changed runs: an iterator of run ids, coalesced.

        A hint only: read the run for its state. After a lost connection it yields every run
        that changed meanwhile, so a reader that rereads on each id never misses a final state.
        """
        ...
