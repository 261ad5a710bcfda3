"""What an immediate read may ask, of Postgres or of a projection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from triptych.model import Age, Asset, Insight, Metadata, Run, RunState, Slice
from triptych.runs.run_shown import BrandShown
from triptych.snapshots.facet_store import FacetStore
from triptych.snapshots.search_store import Points
from triptych.snapshots.snapshot_store import AssetFilter


class NotProjected(Exception):
    """A projection does not have this: it is older, newer, or does not exist."""


class BrandReads(Protocol):
    """The part of `BrandStore` that immediate reads use."""

    async def brands_slice(
        self,
        *,
        after: str,
        name: str | None,
        state: RunState | None,
        limit: int,
        among: frozenset[str] | None = None,
    ) -> Slice[BrandShown, str]:
        """Return brands as `BrandStore.brands_slice` does."""
        ...

    async def scheduled(self, name: str) -> BrandShown:
        """Return a brand as `BrandStore.scheduled` does."""
        ...

    async def snapshot_of(self, brand: str) -> UUID | None:
        """Return a run as `BrandStore.snapshot_of` does."""
        ...


class RunReads(Protocol):
    """The part of `RunStore` that immediate reads use."""

    async def runs_of(self, run_ids: Sequence[UUID]) -> Sequence[Run]:
        """Return the runs that there are."""
        ...


class SnapshotReads(Protocol):
    """The part of `SnapshotStore` that immediate reads use; each as it is there."""

    async def assets_slice(
        self, run_id: UUID, matching: AssetFilter, *, after: bytes, limit: int
    ) -> Slice[Asset, bytes]:
        """Return assets of a snapshot by key."""
        ...

    async def asset_and_marks(
        self, brand: str, key: bytes, *, run_id: UUID | None = None
    ) -> tuple[Asset, Metadata]:
        """Return an asset and its marks."""
        ...

    async def marks(self, run_id: UUID, keys: Sequence[bytes]) -> dict[bytes, Metadata]:
        """Return the marks of some assets."""
        ...

    async def covers(self, brands: Sequence[str]) -> dict[str, Sequence[bytes]]:
        """Return the covers of brands, each of the snapshot that is read."""
        ...

    async def snapshots_slice(
        self, brand: str, *, before: Age | None, limit: int
    ) -> Slice[Run, Age]:
        """Return a brand's committed runs, newest first."""
        ...

    async def insights(self, run_id: UUID) -> Sequence[Insight]:
        """Return the insights of a snapshot."""
        ...


class MapReads(Protocol):
    """The part of `SearchStore` that immediate reads use; each as it is there."""

    async def mapped_at(self, run_id: UUID) -> datetime | None:
        """Return when the AI phase last published for a snapshot."""
        ...

    async def points(self, run_id: UUID, *, limit: int) -> Points:
        """Return the points of a snapshot's map."""
        ...


@dataclass(frozen=True, slots=True)
class ReadStores:
    """The stores of one database that immediate reads use.

    Those of a projection raise `NotProjected` for what it does not have, and `ReadsUnavailable`
    when it does not answer: then Postgres is asked.
    """

    brands: BrandReads
    runs: RunReads
    snapshots: SnapshotReads
    facets: FacetStore
    maps: MapReads
