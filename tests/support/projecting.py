"""For tests of projections to MongoDB: stores that project before a read, and editions by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import numpy as np

from tests.support.snapshots import committed_run
from triptych.errors import SearchUnavailable
from triptych.model import Asset, Brand, Colour, Insight, Metadata, Run, Slice
from triptych.reads.edition import BrandRow, Edition, EditionAsset, EditionWhole
from triptych.reads.mongo.connection import MongoConnection
from triptych.reads.mongo.mongo_projection import MongoProjection
from triptych.reads.mongo.mongo_reads import mongo_read_stores
from triptych.reads.read_stores import NotProjected, ReadStores
from triptych.runs.run_shown import BrandShown, RunShown
from triptych.snapshots.brand_map import encode_map
from triptych.snapshots.facet_store import FacetStore
from triptych.snapshots.facets import FacetsShown, FacetsWanted
from triptych.snapshots.search_store import Points
from triptych.snapshots.snapshot_store import AssetFilter, SnapshotStore
from triptych.wiring.stores import Stores
from triptych.workers.projector import Projector


def key_of(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()[:16]


def edition_asset(
    edition: Edition,
    number: int,
    *,
    brand: str = "nike",
    metadata: Mapping[str, Any] | None = None,
    also: Sequence[Metadata] = (),
    marks: Metadata | None = None,
    rgb: int = 0xFF0000,
) -> EditionAsset:
    metadata = {} if metadata is None else metadata
    asset = Asset(
        run_id=edition.run,
        key=key_of(number),
        brand=brand,
        url=f"https://x/{number}",
        sha256=hashlib.sha256(f"bytes of {number}".encode()).digest(),
        object_key=f"sha256/{number}",
        media_type="image/png",
        size_bytes=1000 + number,
        width=400,
        height=300,
        phash=-number,
        colours=(Colour(rgb, 0.75), Colour(0xFFFFFF, 0.25)),
        metadata=metadata,
        also=also,
        model="m",
        embedding=None,
    )
    return EditionAsset(asset, marks or {}, "2026-01-31", [asset.url.lower(), str(metadata)])


def edition(committed: int = 1, ai: int = 0, run: UUID | None = None) -> Edition:
    return Edition(committed, ai, run or uuid4())


def brand_row(name: str, shown: Edition, *, version: int = 1, assets: int = 0) -> BrandRow:
    run = RunShown.of(run_of(name, shown.run))
    brand = Brand(name, None, shown.run, assets, None, version)
    return BrandRow(BrandShown.of(brand, schedule=None, due_at=None), name.lower(), [run], False)


def run_of(brand: str, run_id: UUID) -> Run:
    now = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
    return msgspec.structs.replace(committed_run(brand), id=run_id, created_at=now)


def whole(assets: int, *, run: UUID | None = None, points: int = 0) -> EditionWhole:
    insights = [Insight("tags", {"n": assets}, None, 0.5)]
    drawn = None
    if run is not None:
        keys = np.frombuffer(b"".join(sorted(map(key_of, range(points)))), np.uint8)
        places = np.arange(points, dtype=np.float32)
        clusters = np.asarray([(n % 3) - 1 for n in range(points)], np.int32)
        drawn = encode_map(run, Points(keys.reshape(-1, 16), places, -places, clusters, ["a", "b"]))
    return EditionWhole(assets, insights, drawn, [key_of(number) for number in range(2)])


async def project(
    projection: MongoProjection,
    brand: str,
    shown: Edition,
    assets: Sequence[EditionAsset],
    *,
    version: int = 1,
    of: EditionWhole | None = None,
) -> bool:
    """Write an edition and show it."""
    await projection.write(brand, shown, assets)
    of = of or whole(len(assets))
    await projection.complete(brand, shown, of)
    row = brand_row(brand, shown, version=version, assets=len(assets))
    return await projection.show(brand, shown, of, row)


@dataclass
class Projected:
    """Reads of MongoDB after all that is committed on Postgres was projected.

    What is not projected is asked of Postgres, as the API does. ``answered`` counts what MongoDB
    answered by itself.
    """

    stores: Stores
    connection: MongoConnection
    answered: int = 0

    def __post_init__(self) -> None:
        self.reads: ReadStores = mongo_read_stores(self.connection)
        projection = MongoProjection(self.connection)
        self.projector = Projector(self.stores.projections, projection, grace_s=0)

    async def catch_up(self) -> None:
        await self.projector.catch_up()

    def as_stores(self) -> Stores:
        """The stores of Postgres, with snapshots and facets that read MongoDB first."""
        return replace(
            self.stores,
            facets=_Facets(self),
            snapshots=_Snapshots(self),
        )


class _Facets(FacetStore):
    def __init__(self, projected: Projected) -> None:
        self._projected = projected

    async def facets(
        self, run_id: UUID, wanted: FacetsWanted, *, scan: int = 200_000
    ) -> FacetsShown:
        await self._projected.catch_up()
        try:
            found = await self._projected.reads.facets.facets(run_id, wanted, scan=scan)
        except NotProjected:
            return await self._projected.stores.facets.facets(run_id, wanted, scan=scan)
        except SearchUnavailable:
            self._projected.answered += 1
            raise
        self._projected.answered += 1
        assert found == await self._projected.stores.facets.facets(run_id, wanted, scan=scan)
        return found

    async def facets_anywhere(
        self,
        wanted: FacetsWanted,
        *,
        among: frozenset[str] | None = None,
        scan: int = 200_000,
    ) -> FacetsShown:
        await self._projected.catch_up()
        both = [
            await store.facets_anywhere(wanted, among=among, scan=scan)
            for store in (self._projected.reads.facets, self._projected.stores.facets)
        ]
        self._projected.answered += 1
        assert both[0] == both[1]
        return both[0]


class _Snapshots:
    def __init__(self, projected: Projected) -> None:
        self._projected = projected

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @property
    def _store(self) -> SnapshotStore:
        return self._projected.stores.snapshots

    async def assets_slice(
        self, run_id: UUID, matching: AssetFilter, *, after: bytes, limit: int
    ) -> Slice[Asset, bytes]:
        found = await self._projected.reads.snapshots.assets_slice(
            run_id, matching, after=after, limit=limit
        )
        expected = await self._store.assets_slice(run_id, matching, after=after, limit=limit)
        assert found == expected
        self._projected.answered += 1
        return found
