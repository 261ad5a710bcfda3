"""Exporting a snapshot: page by page, into files of one format."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from triptych.objects import ObjectStore
from triptych.snapshots.exports.columns import Exported
from triptych.snapshots.exports.export_format import ExportFormat, Open, Writer
from triptych.snapshots.snapshot_store import SnapshotStore

PAGE_ASSETS = 1_000
"""Assets of a table that are read and written at a time."""
PAGE_BODIES = 32
"""Assets with their bytes that are read and written at a time: 1 GiB at most."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """A snapshot to export, and the destination."""

    run_id: UUID
    name: str
    format: ExportFormat
    opening: Open


async def export(
    snapshots: SnapshotStore,
    store: ObjectStore,
    wanted: ExportRequest,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Write a snapshot's assets in key order; return their number.

    Holds one page in memory. The same snapshot gives the same rows in the same order. After an
    error the files are not closed, and there is no export.

    Raises:
        SnapshotCollected: it is no longer kept.
        ObjectMissing: an object is not in the store.
        StoreUnavailable: an object cannot be read.
    """
    batch = PAGE_BODIES if wanted.format.needs_bodies else PAGE_ASSETS
    writer: Writer | None = None
    count = 0
    async for page in snapshots.stream_assets(wanted.run_id, batch=batch):
        marks = await snapshots.marks(wanted.run_id, [asset.key for asset in page])
        rows = [Exported(asset, marks.get(asset.key, {})) for asset in page]
        if writer is None:
            writer = await _opened(wanted, rows)
        bodies: list[bytes] = []
        if wanted.format.needs_bodies:
            bodies = await asyncio.gather(
                *(store.get(asset.object_key, size_bytes=asset.size_bytes) for asset in page)
            )
        await asyncio.to_thread(writer.add, rows, bodies)
        count += len(rows)
        progress(count)
    if writer is None:
        writer = await _opened(wanted, [])
    await asyncio.to_thread(writer.close)
    return count


def file_name(brand: str) -> str:
    """Return a brand's name in a form that is valid as a file name."""
    return re.sub(r"[^\w.-]+", "-", brand).strip("-.") or "brand"


async def _opened(wanted: ExportRequest, first: list[Exported]) -> Writer:
    """Open the writer; the first embedding sets the length of all."""
    vectors = [row.asset.embedding for row in first if row.asset.embedding is not None]
    dimension = len(vectors[0]) if vectors else None
    return await asyncio.to_thread(wanted.format.open, wanted.name, dimension, wanted.opening)
