"""Row 8: what a URL costs as one brand grows, and what a second worker brings."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable

from bench.lanes import WORK, Contender, Spent, interleaved, running
from bench.origin import origin, write_list
from bench.results import Aim, Entry, compared

ROW = 8
TITLE = "growth"
FULL = {"least": 1_000, "most": 100_000, "rounds": 1, "again": 3, "embedded": 2_000}
REDUCED = {"least": 200, "most": 200, "rounds": 1, "again": 1, "embedded": 40}
LARGE = 100_000
"""From here on a round takes minutes."""
MILLION = 1_000_000
FLAT = Aim("≤ 1.1", most=1.1)
FASTER = Aim("≥ 1.7 where cores are free", least=1.7)
FLAT_FROM = 10_000
STEP = 10


def measure(size: dict[str, int], tell: Callable[[str], None]) -> list[Entry]:
    sizes = [size["least"]]
    while sizes[-1] < size["most"]:
        sizes.append(min(size["most"], sizes[-1] * STEP))
    if os.environ.get("FULL") == "1":
        sizes.append(MILLION)
    with origin(1000) as base:

        def run(urls: int, workers: int, *, embedding: bool = False) -> Spent:
            urls_file = WORK / f"growth-{urls}.csv"
            write_list(urls_file, [f"{base}/many/{number}.jpg" for number in range(urls)])
            one = write_list(WORK / "one.csv", [f"{base}/0.jpg"])
            arguments = {"workers": workers, "embedding": embedding}
            contender = Contender(f"{workers} workers", "bench.ours.growth", arguments)
            with running(contender) as lane:
                lane.run(brand="one", source=f"manifest:{one}", urls=1)
                return lane.run(brand="all", source=f"manifest:{urls_file}", urls=urls)

        works = {
            f"{urls:,} URLs, {workers} worker{'s' * (workers > 1)}": (
                lambda urls=urls, workers=workers: run(urls, workers)
            )
            for urls in sizes
            # A million takes its time once.
            for workers in ((1, 2) if urls < MILLION else (2,))
        }
        small = {name: work for name, work in works.items() if _urls(name) < LARGE}
        large = {name: work for name, work in works.items() if name not in small}
        spent: dict[str, list[Spent]] = interleaved(small, size["again"], tell)
        if large:
            spent |= interleaved(large, size["rounds"], tell)
        embedded = {
            f"{size['embedded']:,} URLs embedded, {workers} on a core each": (
                lambda workers=workers: run(size["embedded"], workers, embedding=True)
            )
            for workers in (1, 2)
        }
        alone, both = interleaved(embedded, size["again"], tell).values()
    work = f"one brand of {size['embedded']:,} URLs with embedding, two workers with a core each"
    with_a_core_each = _second(work, "one worker on one core", size["embedded"], alone, both)
    return [*_entries(sizes, spent), with_a_core_each]


def _second(work: str, beside: str, urls: int, alone: list[Spent], both: list[Spent]) -> Entry:
    """Return what a second worker brings."""
    rates = ([urls / each.wall_s for each in every] for every in (both, alone))
    return compared(ROW, work, beside, "URLs/s", *rates, aim=FASTER, cores=os.cpu_count())


def _entries(sizes: list[int], spent: dict[str, list[Spent]]) -> list[Entry]:
    def of(urls: int, workers: int) -> list[Spent]:
        return spent.get(f"{urls:,} URLs, {workers} worker{'s' * (workers > 1)}", [])

    def cpu_us(urls: int, workers: int) -> float:
        return 1e6 * statistics.median(each.cpu_s for each in of(urls, workers)) / urls

    def peak(urls: int, workers: int) -> float:
        return statistics.median(each.told["worker_bytes"] for each in of(urls, workers)) / 1e6

    flat = next((urls for urls in sizes if urls >= FLAT_FROM), sizes[0])
    largest = sizes[-1]
    last = 1 if of(largest, 1) else 2
    every = {
        name: {
            "cpu_us_a_url": [round(1e6 * s.cpu_s / _urls(name)) for s in each],
            "urls_a_s": [round(_urls(name) / s.wall_s) for s in each],
            "worker_MB": [round(s.told["worker_bytes"] / 1e6) for s in each],
        }
        for name, each in spent.items()
    }
    work = f"one brand of {flat:,} to {largest:,} URLs"
    return [
        compared(
            ROW,
            f"{work}: CPU a URL",
            f"itself at {flat:,}",
            "µs of CPU a URL",
            [cpu_us(largest, last)],
            [cpu_us(flat, last)],
            FLAT,
            every=every,
        ),
        compared(
            ROW,
            f"{work}: memory of the workers",
            f"itself at {flat:,}",
            "MB",
            [peak(largest, last)],
            [peak(flat, last)],
            FLAT,
        ),
        _second(
            f"one brand of {flat:,} URLs with two workers",
            "one worker",
            flat,
            of(flat, 1),
            of(flat, 2),
        ),
    ]


def _urls(name: str) -> int:
    return int(name.split(" ", 1)[0].replace(",", ""))
