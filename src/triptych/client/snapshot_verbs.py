"""What a client does with snapshots and their exports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from triptych.client.connection import PAGE_MAX, Connection, brand_part, part
from triptych.runs.run_shown import RunShown
from triptych.snapshots.snapshot_shown import SnapshotShown
from triptych.snapshots.snapshot_store import Difference, DifferenceCounts
from triptych.tasks.task_store import Task
from triptych.wire import Listing, Page

if TYPE_CHECKING:
    # FastAPI is slow to import, and only one method needs it.
    from triptych.api.exports import ExportFormatShown

Change = Literal["added", "removed", "changed"]


class SnapshotVerbs(Connection):
    """A brand's kept snapshots: read, compare, restore and export them."""

    async def snapshots(self, brand: str) -> Sequence[SnapshotShown]:
        """Return a brand's kept snapshots, newest first."""
        path = f"/brands/{brand_part(brand)}/snapshots"
        return [snapshot async for snapshot in self._pages(path, Page[SnapshotShown])]

    async def snapshot(self, brand: str, snapshot: UUID) -> SnapshotShown:
        """Return a snapshot of a brand.

        Raises:
            RunNotFound: the brand has no such snapshot.
        """
        path = f"/brands/{brand_part(brand)}/snapshots/{snapshot}"
        return await self._get(path, SnapshotShown)

    async def difference(
        self,
        brand: str,
        old: UUID,
        new: UUID,
        *,
        limit: int = PAGE_MAX,
        cursor: str | None = None,
        change: Change | None = None,
    ) -> tuple[Sequence[Difference], str | None]:
        """Return up to ``limit`` URLs that two snapshots have otherwise, and the next cursor.

        ``change``: only what was added, removed or changed.
        """
        path = f"/brands/{brand_part(brand)}/snapshots/{old}/diff/{new}"
        query = {} if change is None else {"change": change}
        return await self._some(path, Page[Difference], query, limit, cursor)

    async def difference_counts(self, brand: str, old: UUID, new: UUID) -> DifferenceCounts:
        """Count what two snapshots of a brand have otherwise.

        Raises:
            RunNotFound: one of them is no snapshot of the brand.
            SnapshotCollected: one of them is no longer kept.
        """
        path = f"/brands/{brand_part(brand)}/snapshots/{old}/diff/{new}/counts"
        return await self._get(path, DifferenceCounts)

    async def restore(self, brand: str, snapshot: UUID) -> RunShown:
        """Open a run that publishes an older snapshot of a brand again.

        Raises:
            RunNotFound, SnapshotCollected: the brand has no such snapshot, or no longer.
            Conflict: it is the current one.
            RunActive: the brand has an active or held run.
        """
        return await self._opened(f"/brands/{brand_part(brand)}/snapshots/{snapshot}/restore")

    async def export_formats(self) -> Sequence[ExportFormatShown]:
        """Return the export formats of the server, and the plug-ins that cannot be loaded."""
        from triptych.api.exports import ExportFormatShown

        return (await self._get("/export-formats", Listing[ExportFormatShown])).items

    async def export(self, brand: str, kind: str) -> Task:
        """Export a brand's snapshot; return the task when it is done.

        Raises:
            TaskFailed: the task failed.
            ServerUnavailable: the task has not ended within `TASK_S`.
        """
        path = f"/brands/{brand_part(brand)}/exports"
        return await self._done(await self._submit("POST", path, {"format": kind}))

    async def fetch_file(self, task: UUID, name: str, path: Path) -> None:
        """Download a file of an export to ``path``, completely or not at all."""
        await self._download(f"/tasks/{task}/files/{part(name)}", path)
