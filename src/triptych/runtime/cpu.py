"""How many processor cores this process may use, and how many threads compute with them."""

from __future__ import annotations

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
UNIFIED = "0::"
"""Prefix of the line for control groups, version 2."""
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""They set the threads of libgomp (scikit-learn) and OpenBLAS (NumPy) when those are loaded."""


def one_thread_each() -> None:
    """Let numerical libraries use one thread per call, unless the environment says otherwise.

    Their threads spin while they wait for each other, and so wait for whatever else runs: on
    two busy cores k-means took thirty times as long with two threads as with one. Here processes
    and tasks share the cores, not the threads of one call. Call it before NumPy is imported;
    child processes inherit it.
    """
    for name in POOLS:
        os.environ.setdefault(name, "1")


def available_cores(own: Path = OWN_CGROUP, root: Path = CGROUPS) -> int:
    """Return how many cores may be used: at least 1.

    The minimum of the scheduler's affinity and the quotas of the process's control group and the
    groups above it, rounded down to whole cores.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = [
        quota for folder in control_groups(own, root) if (quota := _quota(folder)) is not None
    ]
    return max(1, int(min([float(affinity or 1), *quotas])))


def control_groups(own: Path = OWN_CGROUP, root: Path = CGROUPS) -> list[Path]:
    """Return the folders of the process's control group (version 2) and of those above it."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []  # Not Linux, or /proc is hidden: no quota is visible.
    paths = [line.removeprefix(UNIFIED) for line in lines if line.startswith(UNIFIED)]
    # Within a container the path may be the host's: then the container's own root counts.
    folders = [root]
    for part in Path(paths[0] if paths else "/").parts[1:]:
        folders.append(folders[-1] / part)
    return folders


def _quota(folder: Path) -> float | None:
    """Return the cores that a group's ``cpu.max`` allows; None for no limit."""
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None  # The root group has no such file.
