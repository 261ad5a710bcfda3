"""What the photographs came to: a report with its sheets, text queries, and shared pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from demo.shapes import Stage
from demo.world import BAZAAR, PANTRY
from triptych.client import Client
from triptych.client.report_source import ClientReportSource
from triptych.snapshots.asset_shown import AssetShown
from triptych.snapshots.reports.report import make_report

QUERIES = ("bananas", "a pig", "crab")
SHOWN = 3
SHEETS = ("clusters.png", "duplicates.png")


async def show_photographs(stage: Stage, console: Console) -> None:
    """Search the largest brand of photographs and name pictures in two brands; write its report."""
    console.print(f"\n[bold]What {BAZAAR}'s photographs say[/]")
    await _write_report(stage, console)
    for query in QUERIES:
        found = await stage.client.search(query, brand=BAZAAR, limit=SHOWN)
        named = ", ".join(f"{_name(m.asset)} ({m.score or 0:.2f})" for m in found.rows)
        console.print(f"  “{query}” finds {named}.")
    await _show_pictures_in_both(stage.client, console)


async def _write_report(stage: Stage, console: Console) -> None:
    report = await make_report(ClientReportSource(stage.client, BAZAAR))
    folder = stage.data / f"{BAZAAR}-report"
    await asyncio.to_thread(_write, folder, report.files)
    for name in SHEETS:
        if name in report.files:
            console.print(f"  {folder / name}", soft_wrap=True)
    console.print(f"  {folder / 'report.html'}", soft_wrap=True)


async def _show_pictures_in_both(client: Client, console: Console) -> None:
    side = await client.compare(PANTRY, BAZAAR)
    pairs = [*side.shared.items, *side.lookalikes.items]
    if pairs:
        console.print(
            f"  {PANTRY} and {BAZAAR} have {side.shared.count} identical files in both and "
            f"{side.lookalikes.count} look-alikes: {_name(pairs[0].asset)} is one."
        )


def _name(asset: AssetShown) -> str:
    return asset.url.rsplit("/", 1)[-1]


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
