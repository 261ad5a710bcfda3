"""The peak memory of a worker process and of its decoders."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil

MIB = 1024 * 1024
LOOK_EVERY_S = 0.2
"""Between two looks at the memory of the worker and its decoders."""


class MemoryWatch:
    """Looks at the peak resident memory of a worker and of each decoder that it ever had."""

    def __init__(self, pid: int) -> None:
        self.worker = psutil.Process(pid)
        self.peaks: dict[int, int] = {}

    async def run(self) -> None:
        while True:
            for process in [self.worker, *self.worker.children()]:
                try:
                    peak = _peak_bytes(process.pid)
                except (OSError, psutil.Error):
                    continue  # It ended between the two looks.
                self.peaks[process.pid] = max(peak, self.peaks.get(process.pid, 0))
            await asyncio.sleep(LOOK_EVERY_S)

    @property
    def decoders(self) -> list[int]:
        return [peak for pid, peak in self.peaks.items() if pid != self.worker.pid]


def _peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
