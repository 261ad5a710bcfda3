"""Row 6: one run's state to thousands of WebSocket clients, each frame about as large as ours."""

from __future__ import annotations

import asyncio
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import uvloop

from bench.lanes import PEERS, Contender, Lane, interleaved, laned
from bench.results import Aim, Entry, compared
from bench.spending import STEP_S, memory_bytes
from bench.subscribers import SOCKET_IO, TRIPTYCH, Crowd, Dialect, cpu_seconds, subscribe

ROW = 6
TITLE = "live fan-out"
FULL = {"few": 1000, "many": 5000, "changes": 30, "rounds": 3}
REDUCED = {"few": 50, "many": 100, "changes": 5, "rounds": 1}
OF_BARE = Aim("≤ 1.6", most=1.6)
AHEAD = Aim("< 1", most=1.0)
FRAME_BYTES = 950
"""About what a run's state takes."""
EVERY_S = 0.35
"""Between two changes: longer than states are held back for."""
PATIENCE_S = 120.0
FILES = 20_000
OTHERS = {
    "websockets": ("a bare broadcast of `websockets`", OF_BARE),
    "socketio": ("python-socketio on uvicorn, a room", AHEAD),
}


@dataclass(frozen=True)
class Fan:
    """What a round took."""

    cpu_us: float
    """Of the server, a delivered message."""
    p50_ms: float
    p99_ms: float
    bytes_a_client: float


async def changes(lane: Lane, crowd: Crowd, count: int) -> list[float]:
    """Have the state changed; return for each client and change how long it took to come."""
    latencies: list[float] = []
    for _ in range(count):
        began = time.monotonic()
        told = (await asyncio.to_thread(lane.run)).told
        version = told["version"]
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
    begun = cpu_seconds(server)
    latencies = await changes(lane, crowd, count)
    spent = max(cpu_seconds(server) - begun, STEP_S)
    crowd.close()
    cuts = statistics.quantiles(latencies, n=100)
    return Fan(1e6 * spent / (count * clients), 1e3 * cuts[49], 1e3 * cuts[98], held)


def measure(size: dict[str, int], tell: Callable[[str], None]) -> list[Entry]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
    entries = []
    for clients in (size["few"], size["many"]):
        arguments = {"bytes": FRAME_BYTES, "clients": clients}
        contenders = [
            Contender("triptych", "bench.ours.live", arguments),
            Contender("websockets", "bench.ours.broadcast", arguments),
            Contender("socketio", "bench.peers.socketio_lane", arguments, python=PEERS),
        ]

        def work(name: str, lane: Lane, clients: int = clients) -> Fan:
            dialect = SOCKET_IO if name == "socketio" else TRIPTYCH
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(fan_out(lane, dialect, clients, size["changes"]))

        works = {
            contender.name: laned([contender], lambda lane, name=contender.name: work(name, lane))[
                contender.name
            ]
            for contender in contenders
        }
        found: dict[str, list[Fan]] = interleaved(works, size["rounds"], tell)
        cpu = {name: [fan.cpu_us for fan in fans] for name, fans in found.items()}
        entries += [
            compared(
                ROW,
                f"a run's state ({FRAME_BYTES} bytes) to {clients:,} clients",
                text,
                "µs of server CPU a delivered message",
                cpu["triptych"],
                cpu[name],
                aim,
                latency_ms={
                    each: {
                        "p50": round(statistics.median(fan.p50_ms for fan in found[each]), 1),
                        "p99": round(statistics.median(fan.p99_ms for fan in found[each]), 1),
                    }
                    for each in ("triptych", name)
                },
                kB_a_client={
                    each: round(statistics.median(f.bytes_a_client for f in found[each]) / 1e3)
                    for each in ("triptych", name)
                },
            )
            for name, (text, aim) in OTHERS.items()
        ]
    return entries
