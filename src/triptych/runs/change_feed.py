"""The port ChangeFeed: what has changed in the database, while it changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID


@dataclass(slots=True)
class News:
    """What has changed since the last news: hints, after each of which the row is to be read."""

    runs: dict[UUID, int | None] = field(default_factory=dict)
    """With the version that a run has reached, where it is known."""
    brands: set[str] = field(default_factory=set)
    """Created, changed or deleted; not those of which only a run has changed."""
    tasks: set[UUID] = field(default_factory=set)
    queues: bool = False
    """Something was put into a queue. Queues outside the database report nothing."""
    limits: bool = False
    """An operator has paused or limited a phase or a host, or no longer does."""
    everything: bool = False
    """Notifications were missed: anything may have changed."""


class Feed(Protocol):
    """What changes, while it changes."""

    async def news(self) -> News:
        """Wait until something has changed, and return all that has."""
        ...


class ChangeFeed(Protocol):
    """Notifications of changes."""

    def feed(self, *, catch_up_s: float) -> AbstractAsyncContextManager[Feed]:
        """Listen for changed runs, brands and queues.

        Notifications may be lost: every ``catch_up_s`` the feed reads which runs have changed,
        and after a lost connection it reports that everything may have.
        """
        ...

    def changes(self) -> AbstractAsyncContextManager[AsyncIterator[UUID]]:
        """Listen for changed runs: an iterator of run ids, coalesced.

        A hint only: read the run for its state. After a lost connection it yields every run
        that changed meanwhile, so a reader that rereads on each id never misses a final state.
        """
        ...
