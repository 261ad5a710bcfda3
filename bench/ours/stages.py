"""Where a URL's processor time goes: one brand through one process, its main thread sampled.

The kernel says what each process and each thread took. What the main thread took is parted by
samples: the profiling timer interrupts it after so much processor time, the innermost function
of ours on its stack, or of a library that belongs to one stage, says what it was doing, and gets
what its thread has taken since the last time.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import psutil
import uvloop

from bench.ours.brand import committed, ready
from bench.spending import tree
from bench.track import Track

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
        self.seconds: Counter[str] = Counter()
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
    found: Counter[str] = Counter()
    tick = os.sysconf("SC_CLK_TCK")
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    for task in Path("/proc/self/task").iterdir():
        head, _, rest = (task / "stat").read_text().rpartition(") ")
        name, values = names.get(int(task.name), head.partition("(")[2]), rest.split()
        # Those that bear no name are ONNX Runtime's, which works in its caller's, too.
        kind = next((kind for start, kind in THREADS if name.startswith(start)), "embed")
        found[kind] += (int(values[11]) + int(values[12])) / tick
    return found


def processes() -> dict[str, float]:
    """Return the CPU-seconds of the processes below this one, by what they are."""
    found: Counter[str] = Counter()
    for process in tree(os.getpid())[1:]:
        try:
            command, times = " ".join(process.cmdline()), process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        kind = "decode" if "triptych.media.decoder" in command else "Postgres"
        found[kind] += times.user + times.system + times.children_user + times.children_system
    return found


def parted(
    samples: Counter[str], mine: dict[str, float], below: dict[str, float], urls: int
) -> dict[str, float]:
    """Return µs a URL by stage."""
    stages: Counter[str] = Counter(below)
    whole = sum(samples.values()) or 1.0
    for stage, taken in samples.items():
        stages[stage] += mine["main"] * taken / whole
    for stage, taken in mine.items():
        if stage != "main":
            stages[stage] += taken
    return {
        name: round(1e6 * seconds / urls, 1) for name, seconds in stages.most_common() if seconds
    }


def since(now: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0.0) for name, value in now.items()}


async def main() -> None:
    track = Track()
    async with ready(track) as parts:
        while (order := await track.next_order()) is not None:
            samples = Samples()
            mine, below = threads(), processes()
            samples.start()
            await committed(parts, order)
            samples.stop()
            spent = since(threads(), mine), since(processes(), below)
            track.say(stages=parted(samples.seconds, *spent, order["urls"]))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
