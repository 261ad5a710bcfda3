"""The port SearchStore: the nearest assets to a vector, in one brand's snapshot or in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

from triptych.model import Asset
from triptych.snapshots.snapshot_store import AssetFilter

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """A vector to search for."""

    model: str
    """The model: only its embeddings are compared with the vector."""
    vector: Vector
    """(d,), finite, of length 1."""
    limit: int
    deadline_s: float
    """For the database's work; a longer search is cancelled."""
    matching: AssetFilter = field(default_factory=AssetFilter)
    without: tuple[str, bytes] | None = None
    """Brand and key of an asset to leave out: the one whose neighbours are searched."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An asset, without its embedding, and its similarity."""

    asset: Asset
    similarity: float
    """Cosine, -1 to 1."""
    group: str | None = None
    """Its group of duplicates in its brand."""


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Words to search for, and a vector to compare what has them with."""

    needles: Sequence[Sequence[str]]
    """For each word, the texts in lower case of which a field contains one."""
    model: str | None
    """The model of the vector, or None: then nothing is compared."""
    vector: Vector | None
    limit: int
    deadline_s: float
    """For the database's work; a longer search is cancelled."""
    matching: AssetFilter = field(default_factory=AssetFilter)


@dataclass(frozen=True, slots=True)
class WordHit:
    """An asset, without its embedding, that may have some of the words."""

    asset: Asset
    tags: Sequence[str]
    similarity: float | None
    """Cosine with the vector; None without one, or without an embedding of its model."""
    group: str | None
    text: str = ""
    """The text in its picture, a line each; empty if none was read."""


@dataclass(frozen=True, slots=True)
class Hits:
    """The assets found, nearest first; within a brand, equals by key."""

    rows: Sequence[Hit]
    exact: bool
    """False: some of the very nearest may be missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Positions of a snapshot's assets on its map, in key order."""

    keys: npt.NDArray[np.uint8]
    """(n, 16)."""
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]
    clusters: npt.NDArray[np.int32]
    """(n,): an index into ``names``, or -1."""
    names: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Some of a snapshot's embeddings: those with the lowest keys, which are a uniform sample."""

    keys: Sequence[bytes]
    sha256: Sequence[bytes]
    models: Sequence[str]
    hashes: Sequence[int | None]
    """Perceptual hashes, as 64-bit signed numbers."""
    vectors: Sequence[Vector]


@dataclass(frozen=True, slots=True, eq=False)
class Centre:
    """The mean of a sample's embeddings of one model."""

    model: str
    count: int
    vector: Vector
    """(d,), not of length 1."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The contents that two snapshots share."""

    count: int
    pairs: Sequence[tuple[bytes, bytes]]
    """For some of them: the lowest key in each snapshot."""


@dataclass(frozen=True, slots=True)
class IndexLag:
    """How far the index of all brands is behind their snapshots."""

    brands: int
    """Whose snapshot is not fully indexed."""
    seconds: float
    """Since the oldest of these snapshots was committed; 0 without any."""


class SearchStore(Protocol):
    """Search by vector, and the index for searches across brands.

    The index follows the snapshots: any number of processes may call `index_some` at any time.
    Assets that are not indexed yet are not found across brands; assets that are no longer in a
    snapshot are never found.
    """

    async def nearest_in(self, run_id: UUID, wanted: Nearest) -> Hits:
        """Return the nearest assets in a snapshot, exactly.

        Raises:
            SearchUnavailable: it took longer than its deadline.
            SnapshotCollected, RunNotFound: as `SnapshotStore.assets_slice` does.
        """
        ...

    async def nearest_anywhere(self, wanted: Nearest) -> Hits:
        """Return the nearest assets in the current snapshots of all brands.

        Finds nothing if no snapshot was embedded by the model.

        Raises:
            BadInput: the vector is not of the model's dimension.
            SearchUnavailable: it took longer than its deadline.
        """
        ...

    async def with_words(self, run_id: UUID | None, wanted: Words) -> Sequence[WordHit]:
        """Return assets with words in their tags, file name, picture, metadata or brand's name.

        In one snapshot, or for None in the current snapshots of all brands. Those with most of the
        words come first, then the most similar ones.

        Raises:
            SearchUnavailable: it took longer than its deadline.
        """
        ...

    async def embedding_of(
        self, brand: str, key: bytes, *, run_id: UUID | None = None
    ) -> tuple[str, Vector] | None:
        """Return an asset's embedding and its model; None if it has none.

        Raises:
            AssetNotFound: that snapshot has none of that key.
        """
        ...

    async def models_of(self, run_id: UUID) -> Sequence[str]:
        """Return the models of a snapshot, the one of the most assets first."""
        ...

    async def models(self) -> Sequence[str]:
        """Return the models that are indexed across brands."""
        ...

    async def unindexed_brands(self) -> int:
        """Return how many brands' snapshots are not fully indexed yet."""
        ...

    async def index_lag(self) -> IndexLag:
        """Return how far the index is behind the snapshots."""
        ...

    async def index_some(self, *, limit: int) -> bool:
        """Index at most ``limit`` assets of the snapshots that are behind, in one transaction.

        False: nothing is left to do, or another process is indexing. Safe to repeat and to kill.
        """
        ...

    async def mapped_at(self, run_id: UUID) -> datetime | None:
        """Return when the AI phase last published for a snapshot; None if it has not."""
        ...

    async def points(self, run_id: UUID, *, limit: int) -> Points:
        """Return the first ``limit`` assets by key that have a position on the snapshot's map."""
        ...

    async def sample(self, run_id: UUID, *, limit: int) -> Sample:
        """Return the embeddings of the first assets by key that have one, at most ``limit``.

        Fewer where most assets have none.
        """
        ...

    async def centres(
        self, run_ids: Sequence[UUID], *, limit: int
    ) -> Mapping[UUID, Sequence[Centre]]:
        """Return the centres of the `sample` of each snapshot, one a model.

        Without the snapshots that have no embeddings.
        """
        ...

    async def snapshots(
        self, *, besides: str, limit: int
    ) -> tuple[Sequence[tuple[str, UUID]], int]:
        """Return the first ``limit`` other brands by name with their current snapshots.

        The number is that of all other brands with a snapshot.
        """
        ...

    async def shared(self, one: UUID, other: UUID, *, limit: int, deadline_s: float) -> Shared:
        """Count the contents that two snapshots share, and name ``limit`` of them.

        Raises:
            SearchUnavailable: it took longer than its deadline.
        """
        ...
