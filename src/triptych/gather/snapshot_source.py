"""The source of a ``reembed`` run: the brand's own snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator

from typing_extensions import override

from triptych.gather.source import Page, Row, Source
from triptych.runs.brand_store import BrandStore
from triptych.snapshots.snapshot_store import SnapshotStore


class SnapshotSource(Source):
    """Lists the URLs of a brand's current snapshot, in key order.

    While its run is active no other can commit, so the snapshot stays the same until it ends. A
    cursor is the key of the last asset read.
    """

    def __init__(self, brands: BrandStore, snapshots: SnapshotStore, page_rows: int) -> None:
        self._brands = brands
        self._snapshots = snapshots
        self._page_rows = page_rows

    @override
    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        snapshot = (await self._brands.brand(brand)).current_run
        after = None if cursor is None else bytes.fromhex(cursor)
        while snapshot is not None:
            assets = await self._snapshots.assets(snapshot, after=after, limit=self._page_rows)
            last = len(assets) < self._page_rows
            after = assets[-1].key if assets else None
            rows = [Row(asset.url, asset.metadata) for asset in assets]
            yield Page(rows, None if last or after is None else after.hex())
            if last:
                return
