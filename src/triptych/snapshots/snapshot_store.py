"""The port SnapshotStore: committed snapshots, their assets and their insights."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol
from uuid import UUID

from msgspec import Meta

from triptych.errors import AssetNotFound
from triptych.model import Age, AiState, Asset, Insight, Metadata, Run, Slice, Staged
from triptych.snapshots.asset_ids import asset_id, read_asset_id
from triptych.wire import Wire

ASSETS_SCAN = 10_000
"""Assets that are looked at for one slice, however few of them match its filter."""
COVERS_MAX = 4
"""Pictures that show a brand in a list of brands."""
COVERS_SCAN = 24
"""Assets of a snapshot, the first by key, that may be covers besides those of its clusters."""


@dataclass(frozen=True, slots=True)
class NearColour:
    """Assets with a colour near this one."""

    rgb: int
    """``0xRRGGBB``."""
    within: float
    """"Redmean" distance: 0 is the same, about 765 from black to white."""


@dataclass(frozen=True, slots=True)
class ColumnFilter:
    """Assets with a value in a metadata column; one of the last three fields is set."""

    column: str
    values: tuple[str, ...] = ()
    """It has one of these, written as `metadata_values` does: a number as JSON writes it."""
    numbers: tuple[float, float] | None = None
    """It has a number from the first to below the second."""
    day: str | None = None
    """It has a date in this year, month or day: ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``."""


@dataclass(frozen=True, slots=True)
class AssetFilter:
    """A filter for assets. Every field that is set must match."""

    media_type: str | None = None
    """One type, or a family such as ``image/*``."""
    text: str | None = None
    """Contained in the URL or the metadata, ignoring case."""
    colour: NearColour | None = None
    colour_name: str | None = None
    """The name of a colour that covers at least a tenth of it (`triptych.snapshots.facets`)."""
    shape: str | None = None
    size: str | None = None
    first_seen: str | None = None
    """The year, month or day, in UTC, of the first snapshot with it: ``YYYY``, ``YYYY-MM`` …"""
    columns: tuple[ColumnFilter, ...] = ()
    tag: str | None = None
    """One of its tags. This and the following fields are marks (`triptych.model.MARKS`)."""
    cluster: str | None = None
    duplicates: str | None = None
    """The group of duplicates that it is in."""
    duplicated: bool | None = None
    """Whether it is in any such group."""
    look: str | None = None
    outlier: float | None = None
    """Least outlier score, 0 to 1."""


def family_of(media_type: str) -> str | None:
    """Return how the types of a family such as ``image/*`` begin; None for a single type."""
    return media_type.removesuffix("*") if media_type.endswith("/*") else None


class Difference(Wire, frozen=True):
    """A URL that two snapshots have otherwise. `before` and `after` are SHA-256."""

    id: str
    """Of the asset."""
    url: str
    change: Literal["added", "removed", "changed"]
    before: str | None
    """None where it is not."""
    after: str | None

    @property
    def key(self) -> bytes:
        """The item's key, which the id has."""
        return read_asset_id(self.id)[1]

    @classmethod
    def of(
        cls, brand: str, key: bytes, url: str, before: bytes | None, after: bytes | None
    ) -> Difference:
        """Return what a URL of a brand has otherwise; before and after are not the same."""
        change: Literal["added", "removed", "changed"] = "changed"
        if before is None or after is None:
            change = "added" if before is None else "removed"
        hashes = (None if sha256 is None else sha256.hex() for sha256 in (before, after))
        return cls(asset_id(brand, key), url, change, *hashes)


class DifferenceCounts(Wire, frozen=True):
    """How many URLs two snapshots have otherwise, and how many alike."""

    added: Annotated[int, Meta(description="Only the second has them.")]
    removed: Annotated[int, Meta(description="Only the first has them.")]
    changed: Annotated[int, Meta(description="Both have them, with other content.")]
    kept: Annotated[int, Meta(description="Both have them, with the same content.")]
    other_model: Annotated[
        int,
        Meta(description="The second's assets whose model has embedded none of the first's."),
    ]
    """They stay as they are when the second is restored: a re-embed makes them searchable again."""


class Insights(Wire, frozen=True):
    """What the AI phase found in the brand's snapshot."""

    run: UUID | None
    ai_state: AiState
    ai_reason: str | None
    items: list[Insight]


def no_such_asset(brand: str) -> AssetNotFound:
    """Return the error of an asset that is not in its brand's snapshot."""
    return AssetNotFound(
        f"The snapshot of brand {brand!r} has no such asset.",
        remedy="List the brand's assets; one that a re-run dropped is in older snapshots.",
    )


class SnapshotStore(Protocol):
    """Reads committed snapshots. Nothing here takes locks; a page does a bounded amount of work."""

    async def known_assets(self, brand: str, keys: Sequence[bytes]) -> dict[bytes, Staged]:
        """Return what the brand's current snapshot has for these URLs."""
        ...

    async def assets(self, run_id: UUID, *, after: bytes | None, limit: int) -> Sequence[Asset]:
        """Return a page of a snapshot's assets in key order, after the key ``after``.

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

    async def asset_and_marks(
        self, brand: str, key: bytes, *, run_id: UUID | None = None
    ) -> tuple[Asset, Metadata]:
        """Return an asset as `asset` does, and its marks by their names.

        Raises:
            AssetNotFound, SnapshotCollected: as `asset`.
        """
        ...

    async def covers(self, brands: Sequence[str]) -> dict[str, Sequence[bytes]]:
        """Return the keys of up to `COVERS_MAX` pictures that show each brand's snapshot.

        The most typical picture of each of its largest clusters, then the first of its pictures by
        key. Of pictures that are duplicates, or have the same bytes, only one is there. A brand
        without a snapshot, or without pictures, has none.
        """
        ...

    async def snapshots_slice(
        self, brand: str, *, before: Age | None, limit: int
    ) -> Slice[Run, Age]:
        """Return the brand's committed runs, newest first."""
        ...

    async def difference_slice(
        self, brand: str, old: UUID, new: UUID, *, change: str | None, after: bytes, limit: int
    ) -> Slice[Difference, bytes]:
        """Return by key what two snapshots of a brand have otherwise.

        Raises:
            SnapshotCollected: one of them is no longer kept.
            RunNotFound: there is no such run.
        """
        ...

    async def difference_counts(self, old: UUID, new: UUID) -> DifferenceCounts:
        """Count what two snapshots of a brand have otherwise, as `difference_slice` names it.

        Raises:
            SnapshotCollected: one of them is no longer kept.
            RunNotFound: there is no such run.
        """
        ...

    async def insights(self, run_id: UUID) -> Sequence[Insight]:
        """Return the insights of a snapshot."""
        ...

    async def marks(self, run_id: UUID, keys: Sequence[bytes]) -> dict[bytes, Metadata]:
        """Return the marks of these assets of a snapshot, by name."""
        ...
