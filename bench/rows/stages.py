"""Beside the rows: where a URL's processor time goes, by stage, as in rows 1 and 2.

The kernel says what each process and each thread took. What the main thread took is parted by
samples: the profiling timer interrupts it after so much processor time, the innermost function
of ours on its stack, or of a library that belongs to one stage, says what it was doing, and gets
what its thread has taken since the last time.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil

from bench.lanes import Contender, Tell, running
from bench.origin import origin
from bench.ours.brand import committed, working
from bench.program import Given, Ready
from bench.results import Aim, Entry, alone
from bench.rows.download import EMBEDDED, STORED, downloads
from bench.spending import process_cpu_s, tree

ROW = 11
TITLE = "where a URL's processor time goes"
FULL = {"urls": 4000}
REDUCED = {"urls": 40}
NONE = Aim("–")
KINDS = {"stored as they are": STORED, "decoded and embedded": EMBEDDED}
EVERY_S = 0.005
PLACES = (
    ("triptych/fetch/", "download"),
    ("/aiohttp/", "download"),
    ("triptych/objects", "store"),
    ("triptych/media/", "decode"),
    ("triptych/embedders/", "embed"),
    ("triptych/queues/pgmq", "queue"),
    ("triptych/gather/", "gather"),
    ("triptych/database/", "rows"),
    ("triptych/runs/postgres/", "rows"),
    ("triptych/runs/registry", "rows"),
    ("triptych/runs/dispatch", "queue"),
    ("/asyncpg/", "rows"),
    ("triptych/", "messages and tasks"),
)
"""Parts of files' names, and the stage of what is in them; the first that fits."""
EVENT_LOOP = "event loop"
THREADS = (
    ("MainThread", "main"),
    ("objects", "store"),
    ("tokio", "store"),
    ("asyncio", "messages and tasks"),
)
"""How the names of threads begin, and what they do."""


class Samples:
    """What the main thread was doing."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._last = 0.0

    def start(self) -> None:
        """Begin."""
        self._last = time.thread_time()
        signal.signal(signal.SIGPROF, self._take)
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)

    def stop(self) -> None:
        """End."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _take(self, _signal: int, frame: FrameType | None) -> None:
        # The timer counts all threads: when others work, this one has taken next to nothing.
        before, self._last = self._last, time.thread_time()
        self.seconds[self._stage(frame)] += self._last - before

    @staticmethod
    def _stage(frame: FrameType | None) -> str:
        while frame is not None:
            name = frame.f_code.co_filename
            for place, stage in PLACES:
                if place in name:
                    return stage
            frame = frame.f_back
        return EVENT_LOOP


def threads() -> dict[str, float]:
    """Return the CPU-seconds of this process' threads: of the main one, and by what others do."""
    found: dict[str, float] = defaultdict(float)
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    for task in psutil.Process().threads():
        name = names.get(task.id) or Path(f"/proc/self/task/{task.id}/comm").read_text()
        # Those that bear no name are ONNX Runtime's, which works in its caller's, too.
        kind = next((kind for start, kind in THREADS if name.startswith(start)), "embed")
        found[kind] += task.user_time + task.system_time
    return found


def processes() -> dict[str, float]:
    """Return the CPU-seconds of the processes below this one, by what they are."""
    found: dict[str, float] = defaultdict(float)
    for process in tree(os.getpid())[1:]:
        with suppress(psutil.NoSuchProcess):
            decodes = "triptych.media.decoder" in " ".join(process.cmdline())
            found["decode" if decodes else "Postgres"] += process_cpu_s(process)
    return found


def parted(
    samples: dict[str, float], mine: dict[str, float], below: dict[str, float], urls: int
) -> dict[str, float]:
    """Return µs a URL by stage."""
    stages = defaultdict(float, below)
    whole = sum(samples.values()) or 1.0
    for stage, taken in samples.items():
        stages[stage] += mine["main"] * taken / whole
    for stage, taken in mine.items():
        if stage != "main":
            stages[stage] += taken
    most = sorted(stages.items(), key=lambda item: -item[1])
    return {name: round(1e6 * seconds / urls, 1) for name, seconds in most if seconds}


def since(now: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0.0) for name, value in now.items()}


@asynccontextmanager
async def stages(arguments: Given) -> AsyncIterator[Ready]:
    """Take brands to their commit in one process, and part what each took."""
    async with working(arguments) as parts:

        async def work(order: Given) -> dict[str, dict[str, float]]:
            samples = Samples()
            mine, below = threads(), processes()
            samples.start()
            await committed(parts, order)
            samples.stop()
            spent = since(threads(), mine), since(processes(), below)
            return {"stages": parted(samples.seconds, *spent, order["urls"])}

        yield Ready(work)


def measure(size: dict[str, int], tell: Tell) -> list[Entry]:
    entries: list[Entry] = []
    with origin(size["urls"]) as base:
        work = downloads(base, size["urls"])
        for kind, settings in KINDS.items():
            with running(
                Contender("stages", "bench.rows.stages:stages", {"settings": settings})
            ) as lane:
                stages = work(lane).told["stages"]
            tell(f"{kind}: {stages}")
            text, whole = f"CPU of a URL by stage, {kind}", round(sum(stages.values()))
            entries.append(alone(ROW, text, "µs", [whole], NONE, stages=stages))
    return entries
