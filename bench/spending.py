"""What a tree of processes has spent: processor time and memory, by the kernel's own accounts."""

from __future__ import annotations

import threading

import psutil

SAMPLE_S = 0.25
STEP_S = 0.01
"""In which the kernel counts; what took less than one counts as one."""


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all below it that live, or have not been waited for."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(pid: int) -> float:
    """Return the CPU-seconds of a process and all below it, those included that have ended.

    Whoever waited for a process that ended has its time; the kernel counts in steps of 10 ms.
    """
    spent = 0.0
    for process in tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system + times.children_user + times.children_system
    return spent


def memory_bytes(pid: int) -> int:
    """Return the memory of a process and all below it; pages that they share count once each."""
    held = 0
    for process in tree(pid):
        try:
            held += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return held


class Peak:
    """Looks at one process' own memory meanwhile, some times a second, and keeps the most."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.bytes = 0

    def __enter__(self) -> Peak:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, memory_bytes(self._pid))
            if self._stop.wait(SAMPLE_S):
                return
