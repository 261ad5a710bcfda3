"""Row 8: what a URL costs as one brand grows, and what a second worker brings."""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from bench.lanes import Contender, Spent, Tell, interleaved, running
from bench.origin import origin, write_list
from bench.ours.brand import committed
from bench.ours.services import own_parts, settings_in
from bench.program import Given, Ready
from bench.results import Aim, Entry, compared
from bench.spending import peak_memory

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
PICTURES = 1000

Case = tuple[int, int]
"""URLs and workers."""
SAMPLE_S = 0.5
START_S = 120.0
COMMAND = ("-m", "triptych", "worker", "gather", "acquire", "--with-parent")
STORING = {"TRIPTYCH_EMBEDDER": "none", "TRIPTYCH_DECODE": "false"}
"""What has workers store pictures as they are."""


async def start(dsn: str, data: Path, count: int, *, embedding: bool) -> list[Process]:
    """Start workers; return when all have said in the database that they are there.

    Those that embed have a core each: by themselves they would share all of them.
    """
    settings = {
        "TRIPTYCH_DATABASE_URL": dsn,
        "TRIPTYCH_DATA": str(data),
        "TRIPTYCH_FETCH_ALLOW": "127.0.0.0/8",
        "TRIPTYCH_HOST_CONCURRENCY": "64",
        **({} if embedding else STORING),
    }
    cores, env, workers = os.sched_getaffinity(0), {**os.environ, **settings}, []
    for _, core in zip(range(count), itertools.cycle(cores)):
        if embedding:
            os.sched_setaffinity(0, {core})  # What is started now inherits it.
        workers.append(
            await asyncio.create_subprocess_exec(sys.executable, *COMMAND, env=env, stdin=PIPE)
        )
    os.sched_setaffinity(0, cores)
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(START_S):
            while await connection.fetchval("select count(*) from workers") < count:
                await asyncio.sleep(SAMPLE_S)
    finally:
        await connection.close()
    return workers


@asynccontextmanager
async def workers(arguments: Given) -> AsyncIterator[Ready]:
    """Run Postgres and workers as child processes; only the workers' memory is reported."""
    async with own_parts(settings_in(arguments)) as (parts, dsn):
        data = Path(arguments["folder"]) / "workers"
        running = await start(dsn, data, arguments["workers"], embedding=arguments["embedding"])

        async def work(order: Given) -> dict[str, int]:
            with peak_memory(*(worker.pid for worker in running), every_s=SAMPLE_S) as peak:
                await committed(parts, order)
            return {"worker_bytes": peak.bytes}

        yield Ready(work)
        for worker in running:
            worker.terminate()
            await worker.wait()


def run(base: str, urls: int, workers: int, *, embedding: bool = False) -> Spent:
    """Take a brand of so many URLs through so many workers."""
    every = write_list(f"growth-{urls}.csv", (f"{base}/many/{n}.jpg" for n in range(urls)))
    one = write_list("one.csv", [f"{base}/0.jpg"])
    arguments = {"workers": workers, "embedding": embedding}
    with running(Contender(f"{workers} workers", "bench.rows.growth:workers", arguments)) as lane:
        lane.run(brand="one", source=f"manifest:{one}", urls=1)
        return lane.run(brand="all", source=f"manifest:{every}", urls=urls)


def sizes(size: dict[str, int]) -> list[int]:
    """Return how large brands become."""
    found = [size["least"]]
    while found[-1] < size["most"]:
        found.append(min(size["most"], found[-1] * STEP))
    return [*found, MILLION] if os.environ.get("FULL") == "1" else found


def named(case: Case) -> str:
    """Return a case as people say it."""
    urls, workers = case
    return f"{urls:,} URLs, {workers} worker{'s' * (workers > 1)}"


def grown(base: str, size: dict[str, int], tell: Tell) -> dict[Case, list[Spent]]:
    """Measure every size with one worker and with two."""
    # A million takes its time once.
    cases = [(urls, n) for urls in sizes(size) for n in ((1, 2) if urls < MILLION else (2,))]
    found: dict[str, list[Spent]] = {}
    for rounds, large in ((size["again"], False), (size["rounds"], True)):
        chosen = [case for case in cases if (case[0] >= LARGE) is large]
        works = {named(case): partial(run, base, *case) for case in chosen}
        found |= interleaved(works, rounds, tell) if works else {}
    return {case: found[named(case)] for case in cases}


def second(work: str, against: str, urls: int, alone: list[Spent], both: list[Spent]) -> Entry:
    """Return what a second worker brings."""
    ours, beside = ([urls / each.wall_s for each in every] for every in (both, alone))
    return compared(ROW, work, against, "URLs/s", ours, beside, FASTER, cores=os.cpu_count())


def entries(spent: dict[Case, list[Spent]]) -> list[Entry]:
    """Return what growth costs."""
    every = {
        case: {
            "cpu_us_a_url": [1e6 * each.cpu_s / case[0] for each in found],
            "urls_a_s": [case[0] / each.wall_s for each in found],
            "worker_MB": [each.told["worker_bytes"] / 1e6 for each in found],
        }
        for case, found in spent.items()
    }
    least, largest = min(spent)[0], max(spent)[0]
    flat = min((urls for urls, _ in spent if urls >= FLAT_FROM), default=least)
    last = 1 if (largest, 1) in spent else 2

    def grew(of: str, unit: str, key: str, **more: Any) -> Entry:
        now, before = ([statistics.median(every[urls, last][key])] for urls in (largest, flat))
        work = f"one brand of {flat:,} to {largest:,} URLs: {of}"
        return compared(ROW, work, f"itself at {flat:,}", unit, now, before, FLAT, **more)

    told = {
        named(case): {key: [round(value) for value in values] for key, values in found.items()}
        for case, found in every.items()
    }
    work = f"one brand of {flat:,} URLs with two workers"
    return [
        grew("CPU a URL", "µs of CPU a URL", "cpu_us_a_url", every=told),
        grew("memory of the workers", "MB", "worker_MB"),
        second(work, "one worker", flat, spent[flat, 1], spent[flat, 2]),
    ]


def measure(size: dict[str, int], tell: Tell) -> list[Entry]:
    urls = size["embedded"]
    with origin(PICTURES) as base:
        spent = grown(base, size, tell)
        embedded = {
            f"{urls:,} URLs embedded, {n} on a core each": partial(
                run, base, urls, n, embedding=True
            )
            for n in (1, 2)
        }
        alone, both = interleaved(embedded, size["again"], tell).values()
    work = f"one brand of {urls:,} URLs with embedding, two workers with a core each"
    return [*entries(spent), second(work, "one worker on one core", urls, alone, both)]
