"""What the photographs came to: a report with its sheets, text queries, and look-alikes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    """Search the largest brand of photographs and name look-alikes; write its report."""
    console.print(f"\n[bold]What {BAZAAR}'s photographs say[/]")
    await _write_report(stage, console)
    for query in QUERIES:
        found = await stage.client.search(query, brand=BAZAAR, limit=str(SHOWN))
        named = ", ".join(f"{_name(m.asset)} ({m.score or 0:.2f})" for m in found.rows)
        console.print(f"  “{query}” finds {named}.")
    await _show_lookalikes(stage.client, console)


async def _write_report(stage: Stage, console: Console) -> None:
    report = await make_report(ClientReportSource(stage.client, BAZAAR))
    folder = stage.data / f"{BAZAAR}-report"
    await asyncio.to_thread(_write, folder, report.files)
    for name in SHEETS:
        if name in report.files:
            console.print(f"  {folder / name}", soft_wrap=True)
    console.print(f"  {folder / 'report.html'}", soft_wrap=True)


async def _show_lookalikes(client: Client, console: Console) -> None:
    for brand in (PANTRY, BAZAAR):  # Whoever was understood last saw the other.
        _, _, _, found = await client.insights(brand)
        insights = {each.kind: each.result for each in found}
        across: Any = insights.get("across") or {}
        if across.get("lookalikes"):
            pair = across["lookalikes"][0]
            console.print(
                f"  {across['lookalike_count']} pictures of {brand} are {pair['brand']}'s, too: "
                f"{pair['url'].rsplit('/', 1)[-1]} is one."
            )
            return


def _name(asset: AssetShown) -> str:
    return asset.url.rsplit("/", 1)[-1]


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
