"""``make demo``: real brands through all three phases; exit 0 only if every count is right."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from demo.report import Outcome, print_summary, print_verdict
from demo.service import serve
from demo.showing import show_photographs
from demo.world import PHOTOS, World, load
from triptych.cli.frame import configure_logs
from triptych.errors import SettingsError
from triptych.live.server import server_options
from triptych.local import Local, open_local
from triptych.model import Run
from triptych.serving import address, bind
from triptych.serving import serve as serve_app
from triptych.settings import Settings
from triptych.wiring.web import open_web

DATA = Path(os.environ.get("TRIPTYCH_DATA", ".triptych-demo"))
ASSETS_MAX = 10_000
DRAIN_S = 2.0


async def play(console: Console) -> int:
    """Run the demo; return the exit code."""
    world = load(photos=PHOTOS)
    await asyncio.to_thread(shutil.rmtree, DATA, ignore_errors=True)
    with _listen() as listening:
        console.print(f"Watch it at {address(listening)}")
        return await _play(world, listening, console)


def _listen() -> socket.socket:
    """Bind the usual port, or a free one if something has that."""
    settings = Settings.load()
    try:
        return bind(settings.api_host, settings.api_port)
    except SettingsError:
        return bind(settings.api_host, 0)


async def _play(world: World, listening: socket.socket, console: Console) -> int:
    console.print(
        f"[bold]Triptych demo[/]: {len(world.brands)} real brands, {world.images} URLs, "
        "served over HTTP with some of the faults that the web has.\n"
    )
    async with serve(world) as service:
        settings = Settings.load(
            data=DATA, fetch_allow="127.0.0.0/8", source=f"catalog:{service.url}"
        )
        async with open_local(settings) as local, _served(local, listening):
            start = time.perf_counter()
            runs = await _run_brands(local, world, console)
            seconds = time.perf_counter() - start
            outcomes = [await _outcome(local, world, run) for run in runs]
            print_summary(outcomes, seconds, console)
            await show_photographs(local, settings, console)
    mismatches = [line for outcome in outcomes for line in outcome.mismatches()]
    print_verdict(mismatches, console)
    console.print(f"Look around with: make up DATA={DATA}", style="dim")
    return 1 if mismatches else 0


@asynccontextmanager
async def _served(local: Local, listening: socket.socket) -> AsyncIterator[None]:
    """Serve the API and the dashboard meanwhile."""
    stop = asyncio.Event()
    async with open_web(local.parts) as app:
        serving = asyncio.create_task(
            serve_app(app, listening, stop, drain_s=DRAIN_S, **server_options())
        )
        try:
            yield
        finally:
            stop.set()
            await serving


async def _run_brands(local: Local, world: World, console: Console) -> list[Run]:
    """Submit every brand at once and follow them all to their ends."""
    submitted = [await local.submit(brand) for brand in world.brands]
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

    async def follow(run_id: UUID, states: AsyncIterator[Run]) -> Run:
        async for state in states:
            newest[run_id] = state
            progress.update(urls, completed=sum(run.settled for run in newest.values()))
            ended = sum(run.ended_at is not None for run in newest.values())
            progress.update(commits, completed=ended)
        progress.advance(insights)
        return newest[run_id]

    with progress:
        return await asyncio.gather(*(follow(run.id, local.watch(run.id)) for run in submitted))


async def _outcome(local: Local, world: World, run: Run) -> Outcome:
    assets = await local.catalogue.assets(run.id, after=None, limit=ASSETS_MAX)
    return Outcome(
        run=run,
        insights=await local.catalogue.insights(run.id),
        contents=len({asset.sha256 for asset in assets}),
        expectation=world.expectation(run.brand),
    )


def main() -> int:
    """Run the demo on a fast loop."""
    configure_logs(debug="--debug" in sys.argv)
    console = Console(highlight=False)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(play(console))


if __name__ == "__main__":
    sys.exit(main())
