"""A live process of ours, told of changes of one run by its database, as in service."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import uvloop

from bench.track import Track
from triptych.cli.log_output import configure_logs
from triptych.model import Policy, RunKind
from triptych.settings.settings import Settings
from triptych.wiring.database import connect, own_database
from triptych.wiring.stores import Stores

PATIENCE_S = 60.0


@asynccontextmanager
async def live_process(dsn: str, data: Path, clients: int) -> AsyncIterator[tuple[int, int]]:
    """Run `triptych live` in a process of its own; yield its pid and port."""
    env = {**os.environ, "TRIPTYCH_DATABASE_URL": dsn, "TRIPTYCH_DATA": str(data)}
    env |= {"TRIPTYCH_API_RATE": "100000", "TRIPTYCH_API_BURST": "100000"}  # All of one machine.
    env |= {"TRIPTYCH_LIVE_CLIENTS": str(clients + 10)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "triptych", "live", "--port", "0"),
        env=env,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        line = (await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)).decode()
        found = re.search(r"127\.0\.0\.1:(\d+)/ws", line)
        assert found, line
        yield process.pid, int(found[1])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def open_run(stores: Stores) -> UUID:
    policy = Policy(tolerated_failures=0.5, max_attempts=3, deadline_s=3600)
    opened = await stores.runs.open_run(
        f"brand-{uuid4()}",
        run_id=uuid4(),
        kind=RunKind.FULL,
        source="manifest:x",
        policy=policy,
        enqueue_gather_message=False,
    )
    return opened.run.id


async def main() -> None:
    track = Track()
    configure_logs(debug=False)
    folder = Path(track.arguments["folder"])
    settings = Settings.load(data=folder / "data")
    async with (
        own_database(settings) as dsn,
        connect(settings, dsn) as parts,
        live_process(dsn, folder / "live", track.arguments["clients"]) as (pid, port),
    ):
        run_id = await open_run(parts.stores)
        track.say(port=port, server=pid, topic=f"run:{run_id}")
        number = 0
        while await track.next_order() is not None:
            number += 1
            run = await parts.stores.runs.pause(run_id, paused=number % 2 == 1)
            track.say(version=run.version)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
