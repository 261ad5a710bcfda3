"""The port ProjectionStore: what is to be projected, how far it is, and who does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from triptych.reads.edition import BrandRow, Edition, EditionAsset, EditionWhole
from triptych.reads.projection import Lowers
from triptych.wire import Wire


@dataclass(frozen=True, slots=True)
class Claim:
    """A brand that a worker projects for as long as its lease lasts."""

    brand: str
    edition: Edition | None
    """What is to be shown; None if the brand is gone, or has no snapshot."""
    behind: bool
    """False: it is shown, and only earlier editions have to be dropped."""
    after: bytes
    """The key up to which assets are written."""
    written: int
    """How many."""
    holder: UUID
    target: UUID
    """The database that is written to: see `Projection.open`."""


class ProjectionState(Wire, frozen=True):
    """How far a brand is."""

    brand: str
    shown_run: UUID | None
    """The run of the snapshot that is read from the projection."""
    wanted_run: UUID | None
    behind_s: float
    """Seconds since what is not shown yet was published; 0 if all is."""
    written: int
    """Assets of the wanted edition."""
    assets: int
    """That it has."""
    shown_at: datetime | None


class ProjectionStore(Protocol):
    """Reads what is committed, and records what is projected. All on Postgres, which decides.

    Level-triggered: what is behind follows from the rows, so nothing is lost by a message that was.
    """

    async def lowers(self) -> Lowers:
        """Return which letters the database knows the lower case of."""
        ...

    async def last_target(self) -> UUID | None:
        """Return the database that was written to last; None if none was."""
        ...

    async def take_turn(self, name: str, *, every_s: float) -> bool:
        """Return whether it is the caller's turn to do ``name``, once in ``every_s`` seconds."""
        ...

    async def now(self) -> datetime:
        """Return the time by the database's clock."""
        ...

    async def changed_brands(
        self, target: UUID, *, since: datetime | None, limit: int
    ) -> Sequence[BrandRow]:
        """Return brands that are shown otherwise in ``target`` than they are now.

        ``since``: of those that have changed since then; None for all.
        """
        ...

    async def note_brands(self, target: UUID, rows: Sequence[BrandRow]) -> None:
        """Record that brands are shown as these rows say."""
        ...

    async def brand_row(self, brand: str) -> BrandRow | None:
        """Return how a brand is shown now; None if there is none of that name."""
        ...

    async def want(self, target: UUID) -> None:
        """Note which brands have another edition than the one that was noted before."""
        ...

    async def claim(
        self, target: UUID, *, holder: UUID, lease_s: float, grace_s: float
    ) -> Claim | None:
        """Claim a brand whose newest edition is not shown, or was for ``grace_s`` and is alone.

        One of the longest behind first. None if there is none that nobody holds.
        """
        ...

    async def page(
        self, brand: str, edition: Edition, *, after: bytes, limit: int
    ) -> Sequence[EditionAsset] | None:
        """Return assets of an edition by key, after a key; None if it is no longer the newest."""
        ...

    async def whole(self, brand: str, edition: Edition) -> EditionWhole | None:
        """Return what an edition has besides; None if it is no longer the newest."""
        ...

    async def advance(self, claim: Claim, *, after: bytes, written: int, lease_s: float) -> bool:
        """Record that assets up to a key are written, and renew the lease.

        False: the claim is lost, or the brand has a newer edition; another worker goes on.
        """
        ...

    async def shown(self, claim: Claim) -> None:
        """Record that the claimed edition is shown, and give the claim up."""
        ...

    async def release(self, claim: Claim) -> None:
        """Give up a claim, so that others need not wait for its end."""
        ...

    async def dropped(self, claim: Claim) -> None:
        """Record that nothing is left of a brand's older editions."""
        ...

    async def forgotten(self, claim: Claim) -> None:
        """Record that nothing is left of a brand; if it has a snapshot, it is behind then."""
        ...

    async def recorded(self, target: UUID) -> Mapping[str, Edition]:
        """Return the edition of each brand that was recorded as shown."""
        ...

    async def unknown(self, target: UUID, brands: Sequence[str]) -> Sequence[str]:
        """Return those of some brands that do not exist and of which nothing was recorded."""
        ...

    async def mistaken(self, target: UUID, brands: Sequence[str]) -> None:
        """Have these brands written again: they are not shown as it was recorded."""
        ...

    async def behind(self, target: UUID) -> Mapping[str, float | None]:
        """Return by brand for how many seconds what is committed has not been shown.

        None for a brand that is gone, or has no snapshot, or was deleted and made again: nothing of
        it may be read from there.
        """
        ...

    async def states(self, target: UUID, *, after: str, limit: int) -> Sequence[ProjectionState]:
        """Return how far brands are, by name."""
        ...

    async def rebuild(self, target: UUID, brand: str | None) -> int:
        """Have a brand, or all, written again from the beginning; return how many.

        What is shown stays until it is replaced.

        Raises:
            BrandNotFound: there is none of that name.
        """
        ...
