"""Row 6: one run's state to thousands of WebSocket clients, each frame about as large as ours."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import resource
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
import uvloop
from aws_local.child_server import free_port
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from bench.lanes import Contender, Lane, Tell, figures, measured
from bench.ours.services import own_parts, server, settings_in
from bench.paths import PEERS
from bench.program import HOST, Given, Ready
from bench.results import Aim, Entry, each_compared
from bench.spending import STEP_S, memory_bytes
from bench.subscribers import SOCKET_IO, TRIPTYCH, Crowd, Dialect, subscribe
from triptych.model import Policy, RunKind

ROW = 6
TITLE = "live fan-out"
FULL = {"few": 1000, "many": 5000, "changes": 30, "rounds": 3}
REDUCED = {"few": 50, "many": 100, "changes": 5, "rounds": 1}
FRAME_BYTES = 950
"""About what a run's state takes."""
EVERY_S = 0.35
"""Between two changes: longer than states are held back for."""
PATIENCE_S = 120.0
FILES = 20_000
OTHERS = {
    "websockets": ("a bare broadcast of `websockets`", Aim("≤ 1.6", most=1.6)),
    "socketio": ("python-socketio on uvicorn, a room", Aim("< 1", most=1.0)),
}
POLICY = Policy(tolerated_failures=0.5, max_attempts=3, deadline_s=3600)


@asynccontextmanager
async def triptych(arguments: Given) -> AsyncIterator[Ready]:
    """Run a live process that its database notifies of changes to one run, as in production."""
    port, run_id, numbers = free_port(), uuid4(), itertools.count(1)
    async with own_parts(settings_in(arguments)) as (parts, dsn):
        settings = {
            "TRIPTYCH_DATABASE_URL": dsn,
            "TRIPTYCH_DATA": str(Path(arguments["folder"]) / "live"),
            "TRIPTYCH_API_RATE": "100000",  # All of one machine.
            "TRIPTYCH_API_BURST": "100000",
            "TRIPTYCH_LIVE_CLIENTS": str(arguments["clients"] + 10),
        }
        await parts.stores.runs.open_run(
            f"brand-{run_id}",
            run_id=run_id,
            kind=RunKind.FULL,
            source="manifest:x",
            policy=POLICY,
            enqueue_gather_message=False,
        )

        async def work(_order: Given) -> dict[str, int]:
            run = await parts.stores.runs.pause(run_id, paused=next(numbers) % 2 == 1)
            return {"version": run.version}

        async with server("triptych", "live", "--port", str(port), port=port, **settings) as pid:
            yield Ready(work, {"port": port, "server": pid, "topic": f"run:{run_id}"})


@asynccontextmanager
async def bare(arguments: Given) -> AsyncIterator[Ready]:
    """Broadcast one text to everybody, and nothing else."""
    everybody: set[ServerConnection] = set()
    versions = itertools.count(1)

    async def handle(connection: ServerConnection) -> None:
        everybody.add(connection)
        with contextlib.suppress(ConnectionClosed):
            async for _ in connection:
                await connection.send('{"type":"state","version":0}')
        everybody.discard(connection)

    async def work(_order: Given) -> dict[str, int]:
        version = next(versions)
        head = {"type": "state", "version": version, "x": ""}
        text = json.dumps(head, separators=(",", ":"))
        padding = "x" * (arguments["bytes"] - len(text))
        broadcast(everybody, text.replace('""', f'"{padding}"'))
        return {"version": version}

    async with serve(handle, HOST, 0, compression=None, backlog=1024) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        yield Ready(work, {"port": port, "server": None, "topic": "x"})


@dataclass(frozen=True)
class Fan:
    """What a round took."""

    cpu_us: float
    """Of the server, a delivered message."""
    p50_ms: float
    p99_ms: float
    bytes_a_client: float


def server_cpu_s(pid: int) -> float:
    """Return the processor time that a server has used itself."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def changes(lane: Lane, crowd: Crowd, count: int) -> list[float]:
    """Have the state changed; return for each client and change how long it took to come."""
    latencies: list[float] = []
    for _ in range(count):
        began = time.monotonic()
        version = (await asyncio.to_thread(lane.run)).told["version"]
        await asyncio.wait_for(crowd.have(version), PATIENCE_S)
        latencies += [subscriber.came[version] - began for subscriber in crowd.subscribers]
        await asyncio.sleep(EVERY_S - min(EVERY_S, time.monotonic() - began))
    return latencies


async def fan_out(lane: Lane, dialect: Dialect, clients: int, count: int) -> Fan:
    """Connect clients and let them have changes."""
    server = lane.told["server"] or lane.pid
    before = memory_bytes(server)
    crowd = await subscribe(lane.told["port"], lane.told["topic"], clients, dialect=dialect)
    held = (memory_bytes(server) - before) / clients
    await changes(lane, crowd, 1)
    begun = server_cpu_s(server)
    latencies = await changes(lane, crowd, count)
    spent = max(server_cpu_s(server) - begun, STEP_S)
    crowd.close()
    cuts = statistics.quantiles(latencies, n=100)
    return Fan(1e6 * spent / (count * clients), 1e3 * cuts[49], 1e3 * cuts[98], held)


def fans(clients: int, size: dict[str, int], tell: Tell) -> dict[str, list[Fan]]:
    """Measure every contender with so many clients."""
    arguments = {"bytes": FRAME_BYTES, "clients": clients}
    contenders = [
        Contender("triptych", "bench.rows.live:triptych", arguments),
        Contender("websockets", "bench.rows.live:bare", arguments),
        Contender("socketio", "bench.peers.live:room", arguments, PEERS),
    ]

    def work(lane: Lane) -> Fan:
        dialect = SOCKET_IO if lane.name == "socketio" else TRIPTYCH
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(fan_out(lane, dialect, clients, size["changes"]))

    return measured(contenders, work, size["rounds"], tell)


def entries(clients: int, found: dict[str, list[Fan]]) -> list[Entry]:
    """Return what was found with so many clients."""
    latency = {
        name: {
            "p50": round(statistics.median(fan.p50_ms for fan in every), 1),
            "p99": round(statistics.median(fan.p99_ms for fan in every), 1),
        }
        for name, every in found.items()
    }
    held = figures(found, lambda fan: fan.bytes_a_client / 1e3)
    return each_compared(
        ROW,
        f"a run's state ({FRAME_BYTES} bytes) to {clients:,} clients",
        "µs of server CPU a delivered message",
        figures(found, lambda fan: fan.cpu_us),
        OTHERS,
        latency_ms=latency,
        kB_a_client={name: round(statistics.median(every)) for name, every in held.items()},
    )


def measure(size: dict[str, int], tell: Tell) -> list[Entry]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
    return [
        entry
        for clients in (size["few"], size["many"])
        for entry in entries(clients, fans(clients, size, tell))
    ]
