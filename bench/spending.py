"""What processes and all below them have spent: processor time and memory.

psutil adds up the kernel's accounts. Held against what 10 to 20 children of each kind said of
themselves, it missed at most a step of 10 ms each: waited for, alive, orphaned, left as zombies,
or waited for by one that was killed. It would miss all that children took whose parent ignores
SIGCHLD, as no contender does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

STEP_S = 0.01
"""In which the kernel counts; what took less than one counts as one."""
SAMPLE_S = 0.25


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all below it that live, or have not been waited for."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def process_cpu_s(process: psutil.Process) -> float:
    """Return the CPU-seconds of a process and of those that it has waited for; 0 if it is gone."""
    try:
        return float(sum(process.cpu_times()[:4]))
    except psutil.NoSuchProcess:
        return 0.0


def cpu_s(pid: int) -> float:
    """Return the CPU-seconds of a process and all below it, those included that have ended."""
    return sum(map(process_cpu_s, tree(pid)))


def memory_bytes(*pids: int) -> int:
    """Return the memory of processes and all below them; pages that they share count once each."""
    held = 0
    for process in (each for pid in pids for each in tree(pid)):
        try:
            held += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return held


class Peak:
    """The most memory that was seen."""

    bytes = 0


@contextmanager
def peak_memory(*pids: int, every_s: float = SAMPLE_S) -> Iterator[Peak]:
    """Look at processes and all below them now and then, and at the end; keep the most."""
    peak, over = Peak(), threading.Event()

    def watch() -> None:
        while True:
            last = over.wait(every_s)
            peak.bytes = max(peak.bytes, memory_bytes(*pids))
            if last:
                return

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield peak
    finally:
        over.set()
        watching.join()
