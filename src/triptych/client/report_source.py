"""Reading the contents of a brand's report from the API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from triptych.client.client import Client
from triptych.errors import AssetNotFound, Conflict
from triptych.model import Brand, Insight, Run
from triptych.snapshots.asset_ids import asset_id
from triptych.snapshots.asset_shown import AssetShown
from triptych.snapshots.brand_relations import NearBrands
from triptych.snapshots.comparison import Comparison
from triptych.snapshots.reports.contents import Point

READS_AT_ONCE = 8


class ClientReportSource:
    """One brand's snapshot, for `triptych.snapshots.reports.report.make_report`."""

    def __init__(self, client: Client, brand: str) -> None:
        self._client = client
        self._brand = brand
        self._slots = asyncio.Semaphore(READS_AT_ONCE)

    async def brand(self) -> Brand:
        """Return the brand."""
        return await self._client.brand(self._brand)

    async def run(self, run_id: UUID) -> Run:
        """Return the run of the snapshot."""
        return await self._client.run(run_id)

    async def insights(self, run_id: UUID) -> Sequence[Insight]:
        """Return the AI phase's insights for the snapshot.

        Raises:
            Conflict: another run has committed meanwhile.
        """
        current, _, _, found = await self._client.insights(self._brand)
        self._check(current, run_id)
        return found

    async def assets_of(self, run_id: UUID, keys: Sequence[bytes]) -> dict[bytes, AssetShown]:
        """Return the snapshot's assets with these keys, by key."""

        async def one(key: bytes) -> AssetShown | None:
            async with self._slots:
                try:
                    return await self._client.asset(asset_id(self._brand, key), run=run_id)
                except AssetNotFound:
                    return None

        found = await asyncio.gather(*(one(key) for key in keys))
        return {asset.key: asset for asset in found if asset is not None}

    async def points(self, run_id: UUID) -> Sequence[Point]:
        """Return the positions of the snapshot's assets on its map; empty until it is drawn.

        Raises:
            Conflict: another run has committed meanwhile.
        """
        drawn = await self._client.map(self._brand)
        if not len(drawn.points.keys):
            return []
        self._check(drawn.run, run_id)
        names = [*drawn.points.names, None]  # Cluster -1 means no cluster.
        columns = (drawn.points.x, drawn.points.y, drawn.points.clusters)
        x, y, clusters = (column.tolist() for column in columns)
        return [Point(*place[:2], names[place[2]]) for place in zip(x, y, clusters, strict=True)]

    async def nearest(self) -> NearBrands:
        """Return the brands most similar to this one, as the API has them now."""
        return await self._client.nearest(self._brand)

    async def compare(self, other: str) -> Comparison:
        """Compare the brand with another one."""
        return await self._client.compare(self._brand, other)

    async def thumbnail(self, asset: AssetShown, width: int) -> bytes:
        """Return a thumbnail of an asset as WebP."""
        return await self._client.thumbnail(asset.id, width, run=asset.run_id)

    def _check(self, current: UUID | None, run_id: UUID) -> None:
        if current != run_id:
            raise Conflict(
                f"Another run of {self._brand!r} has committed meanwhile.",
                remedy="Write the report again.",
            )
