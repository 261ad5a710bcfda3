"""Row 3: fan-in of many URLs that do nothing to one commit, and what a killed worker does to it."""

from __future__ import annotations

import os
from collections.abc import Callable

from aws_local.emulator import free_port

from bench.lanes import PEERS, Contender, Lane, Spent, interleaved, laned, running
from bench.redis_server import redis_command
from bench.results import Aim, Entry, compared

ROW = 3
TITLE = "fan-in to one commit"
FULL = {"items": 10_000, "rounds": 3, "killings": 3, "killed_items": 1000, "work_ms": 10}
REDUCED = {"items": 300, "rounds": 1, "killings": 0, "killed_items": 0, "work_ms": 0}
QUEUES = {
    "celery": ("Celery chord, acknowledged late", Aim("≥ 10", least=10)),
    "dramatiq": ("Dramatiq group with a callback", Aim("≥ 2", least=2)),
    "taskiq": ("taskiq, its sender waiting for all", Aim("≥ 2", least=2)),
}


def peer(name: str, *, kill: bool) -> Contender:
    """Return a task queue with a Redis of its own."""
    port = free_port()
    command, environment = redis_command(port)
    return Contender(
        name,
        "bench.peers.fan_in",
        {
            "queue": f"{name}_queue",
            "port": port,
            "redis": command,
            "redis_environment": environment,
            "cores": os.cpu_count() or 1,
            "kill": kill,
        },
        python=PEERS,
    )


def ours(*, work_ms: int) -> Contender:
    """Return Triptych."""
    cores = 2 if work_ms else os.cpu_count() or 1
    return Contender("triptych", "bench.ours.fan_in", {"cores": cores, "work_ms": work_ms})


def kill(size: dict[str, int], tell: Callable[[str], None]) -> dict[str, list[int]]:
    """Kill a worker in the middle, some times; return how often each callback came."""
    fired: dict[str, list[int]] = {}
    work_ms, items = size["work_ms"], size["killed_items"]
    for number in range(size["killings"]):
        for contender in (ours(work_ms=work_ms), *(peer(name, kill=True) for name in QUEUES)):
            with running(contender) as lane:
                told = lane.run(run=f"killed-{number}", items=items, work_ms=work_ms).told
            fired.setdefault(contender.name, []).append(int(told["fired"]))
            tell(f"killed a worker of {contender.name}: its callback came {told['fired']} times")
    return fired


def measure(size: dict[str, int], tell: Callable[[str], None]) -> list[Entry]:
    items = size["items"]

    def work(lane: Lane) -> Spent:
        return lane.run(run="measured", items=items, work_ms=0)

    contenders = [ours(work_ms=0), *(peer(name, kill=False) for name in QUEUES)]
    spent = interleaved(laned(contenders, work), size["rounds"], tell)
    fired = kill(size, tell)
    rates = {name: [items / each.wall_s for each in every] for name, every in spent.items()}
    cpu = {
        name: [round(1e6 * each.cpu_s / items) for each in every] for name, every in spent.items()
    }
    return [
        compared(
            ROW,
            f"fan-in of {items:,} URLs that do nothing to one commit",
            text,
            "items/s",
            rates["triptych"],
            rates[name],
            aim,
            cpu_us_an_item={each: cpu[each] for each in ("triptych", name)},
            callbacks_when_a_worker_is_killed={
                each: fired[each] for each in ("triptych", name) if each in fired
            },
        )
        for name, (text, aim) in QUEUES.items()
    ]
