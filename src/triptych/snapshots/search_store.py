"""The port SearchStore: what lies nearest to a vector, in a brand's snapshot or in all of them."""

from __future__ import annotations

from collections.abc import Sequence
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
    """What is searched for."""

    model: str
    """Whose embeddings are compared with the vector; those of others never are."""
    vector: Vector
    """(d,), finite, of length 1."""
    limit: int
    deadline_s: float
    """For the database's work; what takes longer is given up."""
    matching: AssetFilter = field(default_factory=AssetFilter)
    without: tuple[str, bytes] | None = None
    """Brand and key of an asset that is left out: the one that is asked about."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An asset, without its embedding, and how near it is."""

    asset: Asset
    similarity: float
    """Cosine, -1 to 1."""


@dataclass(frozen=True, slots=True)
class Hits:
    """What was found, the nearest first; of equals the one with the lower key, within a brand."""

    rows: Sequence[Hit]
    exact: bool
    """False: of the very nearest some may be missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Where a snapshot's assets lie on its map, in key order."""

    keys: npt.NDArray[np.uint8]
    """(n, 16)."""
    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.float32]
    clusters: npt.NDArray[np.int32]
    """(n,): which of ``names``, or -1."""
    names: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Some of a snapshot's embeddings: those of the lowest keys, which are an even sample."""

    keys: Sequence[bytes]
    sha256: Sequence[bytes]
    models: Sequence[str]
    vectors: Sequence[Vector]


@dataclass(frozen=True, slots=True)
class Shared:
    """The contents that two snapshots both have."""

    count: int
    pairs: Sequence[tuple[bytes, bytes]]
    """Of some of them: the key in the one and in the other, the lowest of each."""


class SearchStore(Protocol):
    """Search by vector, and the index that makes it quick across brands.

    The index follows the snapshots: any number of processes may call `index_some`, at any time and
    from anywhere. What it has not come to yet is not found across brands; what is no longer in
    a snapshot never is.
    """

    async def nearest_in(self, run_id: UUID, wanted: Nearest) -> Hits:
        """Return what lies nearest in a snapshot: exactly.

        Raises:
            SearchUnavailable: it took longer than its deadline.
            SnapshotCollected, RunNotFound: as `Browsing.assets_slice` does.
        """
        ...

    async def nearest_anywhere(self, wanted: Nearest) -> Hits:
        """Return what lies nearest in the current snapshots of all brands.

        None is found of a model that no snapshot was embedded by.

        Raises:
            BadInput: the vector is not of the model's dimension.
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
        """Return what a snapshot was embedded by, the model of the most assets first."""
        ...

    async def models(self) -> Sequence[str]:
        """Return the models that anything is searched by across brands."""
        ...

    async def unindexed_brands(self) -> int:
        """Return how many brands' snapshots are not wholly found across brands yet."""
        ...

    async def index_some(self, *, limit: int) -> bool:
        """Bring the index nearer to one brand's snapshot, by at most ``limit`` assets.

        False: nothing is left to do, or another process is at it. Safe to repeat and to kill.
        """
        ...

    async def mapped_at(self, run_id: UUID) -> datetime | None:
        """Return when the AI phase last published anything of a snapshot; None before it has."""
        ...

    async def points(self, run_id: UUID, *, limit: int) -> Points:
        """Return the first ``limit`` assets by key that have a place on the snapshot's map."""
        ...

    async def sample(self, run_id: UUID, *, limit: int) -> Sample:
        """Return the embeddings of the first assets by key that have one, at most ``limit``.

        Fewer where most assets have none.
        """
        ...

    async def shared(self, one: UUID, other: UUID, *, limit: int, deadline_s: float) -> Shared:
        """Count the contents that two snapshots share, and name ``limit`` of them.

        Raises:
            SearchUnavailable: it took longer than its deadline.
        """
        ...
