"""Writing a brand's report into a folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

from triptych.errors import BadInput
from triptych.settings.settings import Settings
from triptych.snapshots.reports.report import Report, make_report
from triptych.wiring.object_store import open_thumbnails
from triptych.wiring.outbound import open_summary
from triptych.wiring.services import connect, reach_database


async def write_report(settings: Settings, brand: str, folder: Path) -> tuple[list[Path], Report]:
    """Write the report of a brand's current snapshot; files of the same names are replaced.

    Raises:
        BrandNotFound, Conflict: there is nothing to report on.
        BadInput: the folder cannot be written.
    """
    async with (
        reach_database(settings) as dsn,
        connect(settings, dsn) as parts,
        open_thumbnails(settings) as thumbnails,
        open_summary(settings) as summarise,
    ):
        report = await make_report(
            parts.stores.brands,
            parts.stores.runs,
            parts.stores.snapshots,
            thumbnails,
            brand,
            summarise,
        )
    try:
        return await asyncio.to_thread(_write, report, folder), report
    except OSError as error:
        raise BadInput(f"{folder} cannot be written ({error}).", field="--to") from error


def _write(report: Report, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in report.files]
    for path, content in zip(paths, report.files.values(), strict=True):
        path.write_bytes(content)
    return paths
