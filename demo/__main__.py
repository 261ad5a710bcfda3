"""``make demo``: real brands through all three phases; exit 0 only if every count is right."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from demo.compared_reads import compare_reads
from demo.report import Outcome, print_summary, print_verdict
from demo.service import serve
from demo.shapes import EMBEDDED, SHAPES
from demo.showing import show_photographs
from demo.world import PHOTOS, World, load
from triptych.cli.log_output import configure_logs
from triptych.client import Client
from triptych.model import Run
from triptych.runs.run_shown import RunShown

DATA = Path(os.environ.get("TRIPTYCH_DATA", ".triptych-demo"))
ASSETS_A_PAGE = 100
STOPPED = 130
"""The exit code after Ctrl-C, as shells have it."""


async def play(console: Console, shape: str) -> int:
    """Run the demo in a shape; return the exit code."""
    # Told to end, it ends in order, as with Ctrl-C.
    playing = asyncio.current_task()
    assert playing is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    world = load(photos=PHOTOS)
    data = DATA if shape == EMBEDDED else DATA.with_name(f"{DATA.name}-{shape}")
    await asyncio.to_thread(shutil.rmtree, data, ignore_errors=True)
    async with (
        serve(world) as service,
        SHAPES[shape](data, f"catalog:{service.url}", console) as stage,
    ):
        console.print(
            f"[bold]Triptych demo[/]: {len(world.brands)} real brands, {world.images} URLs, "
            "served over HTTP with some of the faults that the web has.\n"
        )
        start = time.perf_counter()
        runs = await _run_brands(stage.client, world, console)
        seconds = time.perf_counter() - start
        outcomes = [await _outcome(stage.client, world, run) for run in runs]
        print_summary(outcomes, seconds, console)
        await show_photographs(stage, console)
        mismatches = [line for outcome in outcomes for line in outcome.mismatches()]
        if stage.answered is not None:
            brands = list(world.brands)
            mismatches += await compare_reads(stage.client, stage.answered, brands, console)
    print_verdict(mismatches, console)
    if shape == EMBEDDED:
        console.print(f"Look around with: make up DATA={data}", style="dim")
    return 1 if mismatches else 0


async def _run_brands(client: Client, world: World, console: Console) -> list[Run]:
    """Submit every brand at once and follow them all to their ends."""
    submitted = [await client.start(brand) for brand in world.brands]
    newest = {run.id: run for run in submitted}
    progress = Progress(
        TextColumn("{task.description:<17}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    urls = progress.add_task("URLs settled", total=world.images)
    commits = progress.add_task("Brands committed", total=len(submitted))
    insights = progress.add_task("Brands understood", total=len(submitted))

    async def follow(run_id: UUID, states: AsyncIterator[RunShown]) -> RunShown:
        async for state in states:
            newest[run_id] = state
            progress.update(urls, completed=sum(run.settled for run in newest.values()))
            ended = sum(run.ended_at is not None for run in newest.values())
            progress.update(commits, completed=ended)
        progress.advance(insights)
        return newest[run_id]

    with progress:
        return await asyncio.gather(*(follow(run.id, client.watch(run.id)) for run in submitted))


async def _outcome(client: Client, world: World, run: Run) -> Outcome:
    contents: set[str] = set()
    after = None
    while True:
        found, after = await client.assets_page(run.brand, limit=ASSETS_A_PAGE, cursor=after)
        contents |= {asset.sha256 for asset in found}
        if after is None:
            break
    _, _, _, insights = await client.insights(run.brand)
    return Outcome(
        run=run,
        insights=insights,
        contents=len(contents),
        expectation=world.expectation(run.brand),
    )


def main() -> int:
    """Run the demo on a fast loop."""
    parser = argparse.ArgumentParser(prog="python -m demo")
    parser.add_argument("--shape", choices=sorted(SHAPES), default=EMBEDDED)
    parser.add_argument("--debug", action="store_true")
    given = parser.parse_args()
    configure_logs(debug=given.debug)
    console = Console(highlight=False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(play(console, given.shape))
        except (KeyboardInterrupt, asyncio.CancelledError):
            console.print("Stopped.")
            return STOPPED


if __name__ == "__main__":
    sys.exit(main())
