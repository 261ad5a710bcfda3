"""What the photographs came to: a report with its sheets, a text query, and look-alikes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from rich.console import Console

from demo.world import BAZAAR, PANTRY
from triptych.local import Local
from triptych.model import Asset
from triptych.reports.report import make_report
from triptych.search.room import Where
from triptych.settings import Settings
from triptych.wiring import open_thumbnails
from triptych.wiring.search import open_search

QUERIES = ("bananas", "a pig", "crab")
SHOWN = 3
SHEETS = ("clusters.png", "duplicates.png")


async def show_photographs(local: Local, settings: Settings, console: Console) -> None:
    """Write the report of the largest brand of photographs, search it, and name look-alikes."""
    async with open_thumbnails(settings) as thumbnails:
        report = await make_report(local.catalogue, thumbnails, BAZAAR)
    folder = settings.data / f"{BAZAAR}-report"
    await asyncio.to_thread(_write, folder, report.files)
    console.print(f"\n[bold]What {BAZAAR}'s photographs say[/]")
    for name in SHEETS:
        if name in report.files:
            console.print(f"  {folder / name}", soft_wrap=True)
    console.print(f"  {folder / 'report.html'}", soft_wrap=True)
    async with open_search(settings, local.catalogue) as room:
        for query in QUERIES:
            found = await room.by_text(query, Where(BAZAAR, SHOWN))
            named = ", ".join(f"{_name(m.asset)} ({m.score or 0:.2f})" for m in found.rows)
            console.print(f"  “{query}” finds {named}.")
    await _show_lookalikes(local, console)


async def _show_lookalikes(local: Local, console: Console) -> None:
    for brand in (PANTRY, BAZAAR):  # Whoever was understood last saw the other.
        run = (await local.catalogue.brand(brand)).current_run
        assert run is not None
        insights = {each.kind: each.result for each in await local.catalogue.insights(run)}
        across: Any = insights.get("across") or {}
        if across.get("lookalikes"):
            pair = across["lookalikes"][0]
            console.print(
                f"  {across['lookalike_count']} pictures of {brand} are {pair['brand']}'s, too: "
                f"{pair['url'].rsplit('/', 1)[-1]} is one."
            )
            return


def _name(asset: Asset) -> str:
    return asset.url.rsplit("/", 1)[-1]


def _write(folder: Path, files: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
