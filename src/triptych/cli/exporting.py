"""Exporting into a folder of this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import IO

from triptych.errors import BadInput, Conflict
from triptych.runs.brand_store import BrandStore
from triptych.settings.settings import Settings
from triptych.snapshots.exports.export import ExportRequest, export, file_name
from triptych.snapshots.exports.export_registry import ExportRegistry
from triptych.snapshots.snapshot_store import SnapshotStore
from triptych.wiring.object_store import open_objects

UNFINISHED = ".part"


async def export_to_folder(
    settings: Settings,
    brands: BrandStore,
    snapshots: SnapshotStore,
    brand: str,
    kind: str,
    folder: Path,
) -> tuple[list[Path], int]:
    """Write a brand's snapshot into ``folder``; return the files and the number of assets.

    Files get their names when all of them are whole; files of these names are replaced.

    Raises:
        BadInput: there is no such format, or the folder cannot be used.
        BrandNotFound, Conflict: there is nothing to export.
    """
    wanted = ExportRegistry.discover().find(kind, field="--format")
    parts: list[Path] = []

    def opening(name: str) -> IO[bytes]:
        path = folder / f"{name}{UNFINISHED}"
        parts.append(path)
        return path.open("wb")

    found = await brands.brand(brand)
    if found.current_run is None:
        raise Conflict(
            f"Brand {brand!r} has no snapshot to export.", remedy="Start a run of it first."
        )
    store = await open_objects(settings)
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        exporting = ExportRequest(found.current_run, file_name(brand), wanted, opening)
        count = await export(snapshots, store, exporting)
    except OSError as error:
        raise BadInput(f"{folder} cannot be written ({error}).", field="--to") from error
    except BaseException:
        for part in parts:
            part.unlink(missing_ok=True)
        raise
    return [part.replace(part.with_suffix("")) for part in parts], count
