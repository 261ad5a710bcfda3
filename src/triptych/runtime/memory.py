"""How much memory this process, with its child processes, may use."""

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


def _limit(folder: Path) -> int | None:
    """Return the bytes that a group's ``memory.max`` allows; None for no limit."""
    try:
        return int((folder / "memory.max").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # ``max``; or the root group, which has no such file.
