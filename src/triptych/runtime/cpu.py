"""How many processor cores this process may use, and how many threads compute with them."""

from __future__ import annotations

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")
UNIFIED = "0::"
"""What the line of control groups, version 2, begins with."""
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""They set the threads of libgomp (scikit-learn) and OpenBLAS (NumPy), as those are loaded."""


def one_thread_each() -> None:
    """Have libraries that compute use one thread a call, unless the environment says otherwise.

    Their threads spin while they wait for one another, and so wait for whoever has the cores: on
    two busy cores k-means took thirty times as long with two threads as with one. Here processes
    and tasks share the cores, not the threads of one call. To be called before NumPy is imported;
    what is started from here inherits it.
    """
    for name in POOLS:
        os.environ.setdefault(name, "1")


def available_cores(own: Path = OWN_CGROUP, root: Path = CGROUPS) -> int:
    """Return how many cores may be used: at least 1.

    The least of what the scheduler's affinity and the quotas of the process' control group and
    of those above it allow; half a core that a quota allows beyond a whole one does not count.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = [quota for folder in _groups(own, root) if (quota := _quota(folder)) is not None]
    return max(1, int(min([float(affinity or 1), *quotas])))


def _groups(own: Path, root: Path) -> list[Path]:
    """Return the folders of the process' control group and of those above it."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []  # No Linux, or /proc is hidden: there is no quota to be seen.
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
