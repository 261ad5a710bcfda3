"""The port Browsing: pages of what readers ask, each within a bounded piece of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from triptych.model import Asset, Brand, Run, RunState
from triptych.ports.registry import DeadLetter

T = TypeVar("T")
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Slice(Generic[T, P]):
    """Some rows of a listing, and where the next ones begin.

    A filter may leave a slice short, or empty, while more follows: an adapter looks at a bounded
    number of rows for each slice, whatever the filter lets through.
    """

    rows: Sequence[T]
    next: P | None
    """The position behind which the listing goes on; None at its end."""


@dataclass(frozen=True, slots=True)
class NearColour:
    """Assets one of whose colours lies near this one."""

    rgb: int
    """``0xRRGGBB``."""
    within: float
    """"Redmean" distance: 0 the same, about 765 from black to white."""


@dataclass(frozen=True, slots=True)
class AssetFilter:
    """Which assets of a snapshot. Every field that is set must hold. New ones go here."""

    media_type: str | None = None
    """One type, or a family as ``image/*``."""
    text: str | None = None
    """Found in the URL or the metadata, whatever the case."""
    colour: NearColour | None = None
    tag: str | None = None
    """One of its tags. This and what follows is what the AI phase says (`triptych.ports.MARKS`)."""
    cluster: str | None = None
    duplicates: str | None = None
    """The group of duplicates that it is in."""
    duplicated: bool | None = None
    """Whether it is in any."""
    look: str | None = None
    outlier: float | None = None
    """At least so far from what its brand looks like, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Age:
    """A position in a listing from the newest to the oldest."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A brand, its newest run, and when its next one opens by itself."""

    brand: Brand
    schedule: str | None
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A URL that two snapshots have otherwise."""

    key: bytes
    url: str
    change: str
    """``added``, ``removed`` or ``changed``."""
    before: bytes | None
    """SHA-256 of its content; None where it is not."""
    after: bytes | None


@dataclass(frozen=True, slots=True)
class FailedItem:
    """An item that failed."""

    url: str
    detail: str
    attempts: int
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class PaceBucket:
    """What settled within a span of time that begins `at`."""

    at: datetime
    settled: int
    failed: int
    p50_s: float | None
    """Seconds from an item's last dispatch until it settled: the median."""
    p95_s: float | None


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run went, from its beginning until its end or now."""

    width_s: float
    """Seconds that each bucket spans."""
    each: int
    """Every how manieth item was looked at; counts are multiples of it."""
    buckets: Sequence[PaceBucket]
    """By time; spans in which nothing settled are left out."""


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """A dead letter as it is kept."""

    id: int
    at: datetime
    letter: DeadLetter
    redriven_at: datetime | None


@dataclass(frozen=True, slots=True)
class Letters:
    """How it stands with the dead letters: whatever happens to one changes either."""

    waiting: int
    """Not sent again."""
    newest: int | None
    """The highest id of those that are kept."""


class Browsing(Protocol):
    """Pages. None of it locks."""

    async def brands_slice(
        self, *, after: str, name: str | None, state: RunState | None, limit: int
    ) -> Slice[Scheduled, str]:
        """Return brands by name; those with ``name`` in it, or a newest run in ``state``."""
        ...

    async def scheduled(self, name: str) -> Scheduled:
        """Return one brand.

        Raises:
            BrandNotFound: there is none of that name.
        """
        ...

    async def snapshot_of(self, brand: str) -> UUID | None:
        """Return the run that is the brand's snapshot; None before its first.

        Raises:
            BrandNotFound: there is none of that name.
        """
        ...

    async def assets_slice(
        self, run_id: UUID, matching: AssetFilter, *, after: bytes, limit: int
    ) -> Slice[Asset, bytes]:
        """Return assets of a snapshot by key, without their embeddings.

        Raises:
            SnapshotCollected: it is no longer kept.
            RunNotFound: there is no such run.
        """
        ...

    async def asset(self, brand: str, key: bytes, *, run_id: UUID | None = None) -> Asset:
        """Return an asset of the brand's snapshot, or of an older one, without its embedding.

        Raises:
            AssetNotFound: that snapshot has none of that key.
            SnapshotCollected: the older snapshot is no longer kept.
        """
        ...

    async def snapshots_slice(
        self, brand: str, *, before: Age | None, limit: int
    ) -> Slice[Run, Age]:
        """Return the brand's committed runs, newest first."""
        ...

    async def difference_slice(
        self, old: UUID, new: UUID, *, change: str | None, after: bytes, limit: int
    ) -> Slice[Difference, bytes]:
        """Return by key what two snapshots have otherwise.

        Raises:
            SnapshotCollected: one of them is no longer kept.
            RunNotFound: there is no such run.
        """
        ...

    async def runs_slice(
        self, *, brand: str | None, state: RunState | None, before: Age | None, limit: int
    ) -> Slice[Run, Age]:
        """Return runs, newest first."""
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
        """Return how fast a run went, told by a bounded sample of its items.

        Empty for a run that there is not, or whose items are no longer kept.
        """
        ...

    async def letters_slice(self, *, before: int | None, limit: int) -> Slice[KeptLetter, int]:
        """Return dead letters, newest first."""
        ...

    async def letters_kept(self, *, limit: int) -> Letters:
        """Tell how many dead letters wait, counted up to a limit, and which is the newest."""
        ...
