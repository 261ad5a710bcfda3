"""Live status for a thousand subscribers of one process, beside a bare broadcast in the same run.

``python -m bench.live``: processor time of the server for each delivered message, and the time
from a change to its coming to the clients.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import uvloop

from bench.subscribers import Crowd, cpu_seconds, resident_bytes, subscribe
from triptych.cli.frame import configure_logs
from triptych.model import Policy, RunKind
from triptych.ports import Catalogue
from triptych.settings import Settings
from triptych.wiring import connect, own_database

CLIENTS = int(os.environ.get("CLIENTS", "1000"))
ROUNDS = int(os.environ.get("ROUNDS", "30"))
EVERY_S = 0.35
"""Between two changes: longer than states are held back for."""
FRAME_BYTES = 950
"""About what a run's state takes."""
PATIENCE_S = 60.0


@asynccontextmanager
async def live_process(dsn: str, data: Path) -> AsyncIterator[tuple[int, int]]:
    """`triptych live` in a process of its own; yields its pid and port."""
    env = {**os.environ, "TRIPTYCH_DATABASE_URL": dsn, "TRIPTYCH_DATA": str(data)}
    env |= {"TRIPTYCH_API_RATE": "100000", "TRIPTYCH_API_BURST": "100000"}  # All of one machine.
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


async def open_run(catalogue: Catalogue) -> UUID:
    policy = Policy(tolerated_failures=0.5, max_attempts=3, deadline_s=3600)
    opened = await catalogue.open_run(
        f"brand-{uuid4()}",
        run_id=uuid4(),
        kind=RunKind.FULL,
        source="manifest:x",
        policy=policy,
        owe_gather=False,
    )
    return opened.run.id


async def change(catalogue: Catalogue, run_id: UUID, crowd: Crowd) -> list[float]:
    """Change a run some times; return for each client and change how long it took to come."""
    latencies: list[float] = []
    for number in range(ROUNDS):
        began = time.monotonic()
        version = (await catalogue.pause(run_id, paused=number % 2 == 0)).version
        await asyncio.wait_for(crowd.have(version), PATIENCE_S)
        latencies += [subscriber.came[version] - began for subscriber in crowd.subscribers]
        await asyncio.sleep(EVERY_S - min(EVERY_S, time.monotonic() - began))
    return latencies


async def measure_live(dsn: str, data: Path, catalogue: Catalogue) -> tuple[float, list[float]]:
    """Return processor seconds for each message, and latencies."""
    async with live_process(dsn, data) as (pid, port):
        run_id = await open_run(catalogue)
        crowd = await subscribe(port, f"run:{run_id}", CLIENTS)
        before = cpu_seconds(pid)
        latencies = await change(catalogue, run_id, crowd)
        used = cpu_seconds(pid) - before
        crowd.close()
        print(f"memory of the server: {resident_bytes(pid) / 1e6:.0f} MB")
        return used / (ROUNDS * CLIENTS), latencies


async def measure_broadcast() -> float:
    """Return processor seconds for each message of a bare broadcast."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.broadcast", str(FRAME_BYTES)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    port = int(await process.stdout.readline())
    crowd = await subscribe(port, "x", CLIENTS)
    before = cpu_seconds(process.pid)
    for version in range(1, ROUNDS + 1):
        process.stdin.write(f"{version}\n".encode())
        await asyncio.wait_for(crowd.have(version), PATIENCE_S)
        await asyncio.sleep(EVERY_S / 2)
    used = cpu_seconds(process.pid) - before
    crowd.close()
    process.stdin.close()
    await process.wait()
    return used / (ROUNDS * CLIENTS)


async def main() -> None:
    configure_logs(debug=False)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load(data=Path(folder) / "data")
        async with own_database(settings) as dsn, connect(settings, dsn) as parts:
            broadcast = await measure_broadcast()
            live, latencies = await measure_live(dsn, Path(folder) / "live", parts.catalogue)
            again = await measure_broadcast()
    bare = (broadcast + again) / 2
    cuts = statistics.quantiles(latencies, n=100)
    print(f"{CLIENTS} subscribers, {ROUNDS} changes, {FRAME_BYTES} bytes a frame")
    print(f"processor time a delivered message: {live * 1e6:.1f} µs")
    print(f"  a bare broadcast of `websockets`: {bare * 1e6:.1f} µs")
    print(f"  ratio: {live / bare:.2f}")
    print(f"from the change to a client: p50 {cuts[49] * 1e3:.0f} ms, p99 {cuts[98] * 1e3:.0f} ms")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
