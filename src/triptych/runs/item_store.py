"""The port ItemStore: the items of a run as people look at them, and what they wait for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from triptych.model import Item, Reason, Slice
from triptych.wire import Wire

HOST_PATTERN = (
    r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#]*@)?"
    r"((?:\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]]+)(?::[0-9]+)?)(?=[/?#]|$)"
)
"""What of a URL is its host, with its port if it names one. Postgres and Python read it alike; text
whose host is not certain, such as one with a password that is not encoded, has none."""
STEERED_MAX = 1_000
"""Items that one request retries or skips."""
HOSTS_SHOWN_MAX = 50
"""Hosts that the counts of a run name: those with the most items left."""

_HOST = re.compile(HOST_PATTERN)


class ItemStanding(StrEnum):
    """Where an item is, in more detail than its state."""

    PENDING = "pending"
    """Its turn has not come: it was not sent yet."""
    SENT = "sent"
    """Its message waits for a worker, or a worker has it: the rows do not say which."""
    DELAYED = "delayed"
    """It is tried again at a known time."""
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    """An operator let it go: it is counted with those that failed."""
    CANCELLED = "cancelled"


UNSETTLED = frozenset({ItemStanding.PENDING, ItemStanding.SENT, ItemStanding.DELAYED})
"""Of items that have no final state."""


class RunItem(Wire, frozen=True):
    """An item of a run: where it is, and what it waits for."""

    key: Annotated[str, Meta(description="Its name within the run, hexadecimal.")]
    url: str
    host: Annotated[str, Meta(description="Of its URL, with the port; empty if it has none.")]
    state: Annotated[
        ItemStanding,
        Meta(
            description="`pending` was not sent yet. `sent`: its message waits for a worker, or a "
            "worker has it. `delayed` is tried again at `next_attempt_at`. `skipped`: an operator "
            "let it go; it is counted with those that failed."
        ),
    ]
    attempts: Annotated[
        int,
        Meta(description="Attempts that failed and might be repeated. A final failure is none."),
    ]
    max_attempts: int
    reason: Annotated[
        Reason | None,
        Meta(
            description="Why it failed; of one that is not settled, why its last attempt failed, "
            "or that its host does not answer."
        ),
    ]
    detail: Annotated[str | None, Meta(description="The same in more detail.")]
    last_tried_at: Annotated[
        datetime | None, Meta(description="When its last repeatable attempt failed.")
    ]
    next_attempt_at: Annotated[datetime | None, Meta(description="Of one that is `delayed`.")]
    settled_at: datetime | None


class HostItems(Wire, frozen=True):
    """The items of a run at one host."""

    host: str
    items: int
    left: Annotated[int, Meta(description="Of them, those that are not settled.")]
    failed: int
    delayed: Annotated[int, Meta(description="Those that are tried again later: never estimated.")]


class ItemCounts(Wire, frozen=True):
    """The items of a run, counted by where they are and by host."""

    pending: int
    sent: int
    delayed: int
    done: int
    failed: Annotated[int, Meta(description="Without those that were skipped.")]
    skipped: int
    cancelled: int
    each: Annotated[
        int,
        Meta(
            description="For the hosts, one item in so many was looked at: `items`, `left` and "
            "`failed` are multiples of it."
        ),
    ]
    hosts: Annotated[
        list[HostItems],
        Meta(description="Those with the most items left, then with the most items."),
    ]
    hosts_found: Annotated[int, Meta(description="Hosts among the items that were looked at.")]


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which items of a run are looked for; None passes all."""

    state: ItemStanding | None = None
    host: str | None = None
    """In lower case, as `host_of` returns it."""
    reason: Reason | None = None
    url: str | None = None
    """Text that is somewhere in the URL, whatever its case."""
    key: bytes | None = None
    """The item that a whole URL would be: it comes first, without a search."""


def host_of(url: str) -> str:
    """Return a URL's host in lower case, with the port if it names one; empty if it has none."""
    found = _HOST.search(url)
    return found[1].lower() if found else ""


class ItemStore(Protocol):
    """Items of runs. Reads take no locks and read a bounded number of rows."""

    async def page(
        self, run_id: UUID, wanted: ItemFilter, *, after: int | None, limit: int
    ) -> Slice[RunItem, int]:
        """Return items behind position ``after`` in order of dispatch; None for the beginning.

        The one that ``wanted.key`` names, if it passes the filter but for ``wanted.url``, is the
        first page by itself, and on no other. Empty for a run that does not exist, or whose items
        are no longer kept.
        """
        ...

    async def some(self, run_id: UUID, keys: Sequence[bytes]) -> Sequence[RunItem]:
        """Return those of the items that exist, in order of dispatch."""
        ...

    async def counts(self, run_id: UUID) -> ItemCounts:
        """Count a run's items: exactly by where they are, and by host from an even sample.

        Raises:
            RunNotFound: there is none of that id.
        """
        ...

    async def try_now(self, run_id: UUID, keys: Sequence[bytes]) -> Sequence[Item]:
        """Let items that wait for another attempt be due now; return those, to be sent again.

        One transaction, and safe to repeat: one that is due already is left as it is. Attempts are
        not changed. None if the run has ended. The timeline tells how many.

        Raises:
            RunNotFound: there is none of that id.
        """
        ...
