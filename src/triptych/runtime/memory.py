"""How much memory this process, with its child processes, may use, and how much it uses."""

from __future__ import annotations

import os
from pathlib import Path

from triptych.runtime.cpu import CGROUPS, OWN_CGROUP, control_groups


def available_memory(own: Path = OWN_CGROUP, root: Path = CGROUPS) -> int:
    """Return the bytes that may be used, of whatever is in use already.

    The minimum of the machine's memory and the limits (``memory.max``) of the process's control
    group and the groups above it.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [found for folder in control_groups(own, root) if (found := _limit(folder))]
    return min([machine, *limits])


PROC = Path("/proc")
PROCESSES_MAX = 256
"""Processes whose memory is added up."""


def resident_memory(pid: int, proc: Path = PROC) -> int | None:
    """Return the resident bytes of a process and those below it; None without Linux' ``/proc``.

    Pages that several of them share are counted for each. One that ends meanwhile counts nothing.
    """
    total, left, seen = 0, [pid], 0
    while left and seen < PROCESSES_MAX:
        folder = proc / str(left.pop())
        try:
            pages = int((folder / "statm").read_text(encoding="ascii").split()[1])
            for thread in (folder / "task").iterdir():
                left += map(int, (thread / "children").read_text(encoding="ascii").split())
        except OSError:
            continue  # It has just ended, or there is no such file system.
        total += pages * os.sysconf("SC_PAGE_SIZE")
        seen += 1
    return total or None


def _limit(folder: Path) -> int | None:
    """Return the bytes that a group's ``memory.max`` allows; None for no limit."""
    try:
        return int((folder / "memory.max").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # ``max``; or the root group, which has no such file.
