"""What the gather phase of a restore does: look whether the snapshot's objects are still there."""

from __future__ import annotations

from uuid import UUID

from triptych.objects import ObjectStore
from triptych.snapshots.snapshot_store import AssetFilter, SnapshotStore


class Restorable:
    """Looks for the objects of a snapshot, a page of assets at a time.

    Retention keeps the objects of every snapshot that is kept, so none is missing unless somebody
    else deleted it, or the store lost it. No asset may point to a missing object, though, nor to
    one that is known to be damaged.
    """

    def __init__(self, snapshots: SnapshotStore, objects: ObjectStore, page_rows: int) -> None:
        self._snapshots = snapshots
        self._objects = objects
        self._page_rows = page_rows

    async def problem(self, snapshot: UUID) -> str | None:
        """Return why a snapshot cannot be restored; None if all of its objects are there.

        Raises:
            SnapshotCollected: it is no longer kept.
            StoreUnavailable: the store does not respond.
        """
        looked, missing, first = 0, 0, ""
        after: bytes | None = b""
        while after is not None:
            page = await self._snapshots.assets_slice(
                snapshot, AssetFilter(), after=after, limit=self._page_rows
            )
            present = await self._objects.present(
                {asset.object_key: asset.size_bytes for asset in page.rows}
            )
            lost = [asset for asset in page.rows if asset.object_key not in present]
            looked, missing = looked + len(page.rows), missing + len(lost)
            first = first or (lost[0].url if lost else "")
            after = page.next
        if not missing:
            return None
        return (
            f"objects_missing: {missing} of {looked} assets of the snapshot have lost their "
            f"object, such as {first}. `triptych verify --repair` fetches them where their URLs "
            "still have the same bytes; or run the brand from its source instead"
        )
