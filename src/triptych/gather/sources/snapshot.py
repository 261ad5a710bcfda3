"""The source of a run that embeds anew: the brand's own snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator

from triptych.ports import Page, Reading, Row


class SnapshotSource:
    """Lists the URLs of a brand's current snapshot, in key order.

    While its run is active no other can commit, so the snapshot stays the same to the end. A
    cursor is the key of the last asset read.
    """

    def __init__(self, catalogue: Reading, page_rows: int) -> None:
        self._catalogue = catalogue
        self._page_rows = page_rows

    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        """See `triptych.ports.Source.pages`."""
        snapshot = (await self._catalogue.brand(brand)).current_run
        after = None if cursor is None else bytes.fromhex(cursor)
        while snapshot is not None:
            assets = await self._catalogue.assets(snapshot, after=after, limit=self._page_rows)
            last = len(assets) < self._page_rows
            after = assets[-1].key if assets else None
            rows = [Row(asset.url, asset.metadata) for asset in assets]
            yield Page(rows, None if last or after is None else after.hex())
            if last:
                return
