"""A worker of ours whose URLs do nothing: no download, only what queues, rows and commits take."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from triptych.acquire.phase import Acquire
from triptych.cli.log_output import configure_logs
from triptych.cli.server_processes import configure_garbage_collection
from triptych.messages import Phase
from triptych.model import Item, ItemResult, Staged
from triptych.settings.settings import Settings
from triptych.wiring.services import connect
from triptych.wiring.worker_process import open_worker

STAGED = Staged(b"\x01" * 32, "sha256/none", "image/jpeg", 1, None, None, None, None, None)


async def main(folder: str, dsn: str, work_ms: str) -> None:
    configure_logs(debug=False)
    seconds = int(work_ms) / 1000

    async def nothing(_self: Acquire, item: Item) -> ItemResult:
        if seconds:
            await asyncio.sleep(seconds)
        return ItemResult(item.key, STAGED)

    Acquire._result = nothing  # type: ignore[method-assign, assignment]
    settings = Settings.load(data=Path(folder), embedder="none")
    async with (
        connect(settings, dsn) as parts,
        open_worker(parts, [Phase.GATHER, Phase.ACQUIRE]) as worker,
    ):
        configure_garbage_collection()  # As `triptych worker` does.
        await worker.run(asyncio.Event())


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
