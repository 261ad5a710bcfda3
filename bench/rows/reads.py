"""Row 7: immediate reads of many assets under many clients, beside a bare route's."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable

import uvloop

from bench.lanes import Contender, interleaved, running
from bench.readers import read
from bench.results import Aim, Entry, compared

ROW = 7
TITLE = "immediate reads"
FULL = {"brands": 1000, "each": 1000, "clients": 32, "requests": 200, "rounds": 5}
REDUCED = {"brands": 10, "each": 200, "clients": 8, "requests": 20, "rounds": 1}
AIMS = {50: Aim("≤ 1.5", most=1.5), 99: Aim("≤ 2", most=2)}
KINDS = {"page": "a page of 50 assets", "asset": "one asset"}


def measure(size: dict[str, int], tell: Callable[[str], None]) -> list[Entry]:
    arguments = {"brands": size["brands"], "each": size["each"]}
    with running(Contender("reads", "bench.ours.reads", arguments)) as lane:
        ports, paths = lane.told["ports"], lane.told["paths"]

        def reads(name: str, kind: str) -> list[float]:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                wanted = paths[name][kind]
                return runner.run(read(ports[name], wanted, size["clients"], size["requests"]))

        works = {
            f"{name} {kind}": (lambda name=name, kind=kind: reads(name, kind))
            for kind in KINDS
            for name in ports
        }
        for work in works.values():
            work()  # What is not cached yet is not what is measured.
        found: dict[str, list[list[float]]] = interleaved(works, size["rounds"], tell)
    assets = size["brands"] * size["each"]
    return [
        compared(
            ROW,
            f"{text} of {assets:,} in {size['brands']:,} brands, {size['clients']} clients, "
            f"p{percentile}",
            "bare Starlette route, the same SQL",
            "ms",
            *(
                [1e3 * statistics.quantiles(taken, n=100)[percentile - 1] for taken in every]
                for every in (found[f"triptych {kind}"], found[f"starlette {kind}"])
            ),
            aim=aim,
        )
        for kind, text in KINDS.items()
        for percentile, aim in AIMS.items()
    ]
