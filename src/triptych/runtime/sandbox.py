"""A sandbox for a child process that parses untrusted bytes with libraries written in C.

Such a library may be taken over by what it reads. The kernel limits what it could reach then,
without privileges: Landlock (``landlock(7)``) its files, seccomp its system calls, resource limits
(``setrlimit(2)``) the rest. A kernel may lack one of them; the others hold.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from landlockpy import AccessFS, LandlockError, Ruleset, Scope, UnsupportedError

from triptych.runtime.seccomp import SeccompUnavailable, install_filter

OOM_SCORE_ADJ = 500
"""0 is usual, 1000 the most: when memory runs out, the kernel ends the child before its parent
(``proc_pid_oom_score_adj(5)``)."""
OOM_SCORE_FILE = Path("/proc/self/oom_score_adj")
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
FONTS = ("/usr/share/fonts", "/usr/local/share/fonts", "/etc/fonts", "/usr/share/fontconfig")
ZONES = ("/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo")
"""Time zones, where Python looks for them (``zoneinfo.TZPATH``); Parquet's times have some."""
CORES = "/sys/devices/system/cpu"
"""Read by libraries that ask how many cores there are."""
THREADS = Path("/proc/self/task")
SINGLE_THREADED = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which numeric libraries start no threads when they are imported, which
is before they would be confined."""
KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "SYSTEMROOT", "LD_LIBRARY_PATH", "PYTHONPATH")
"""Environment variables that a child inherits; others may contain passwords."""


def sandbox_environment() -> dict[str, str]:
    """Return the environment variables of a child that will be confined."""
    inherited = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**inherited, **dict.fromkeys(SINGLE_THREADED, "1")}


def start_sandboxed(
    module: str, line: socket.socket, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start ``python -m module``, which is to enter the sandbox; hide this process from it.

    Args:
        module: calls `enter_sandbox` before it reads anything untrusted.
        line: the child's end of a socket pair, its standard input; the caller closes its copy.
        environment: `sandbox_environment`, and more.
    """
    hide_memory()
    return subprocess.Popen(
        # -P: nothing is imported from the current folder.
        [sys.executable, "-P", "-m", module],
        stdin=line.fileno(),
        stdout=subprocess.DEVNULL,
        env=environment,
        # A session of its own: Ctrl-C in a terminal must only reach the worker, which drains.
        start_new_session=True,
    )


def limit_cpu(seconds: int, *, at_most: int) -> None:
    """Limit the CPU time that this process may take from now on, and once for all, in seconds."""
    until = math.ceil(time.process_time()) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (min(until, at_most), at_most))


def limit_memory(limit: int, *, at_most: int) -> None:
    """Limit this process's address space in bytes; a later limit may be up to ``at_most``."""
    if sys.platform == "linux" and resource.getrlimit(resource.RLIMIT_AS) != (limit, at_most):
        resource.setrlimit(resource.RLIMIT_AS, (limit, at_most))


def hide_memory() -> None:
    """Keep this process's memory and environment from others of its user, core dumps included.

    Root is kept out by nothing but the child's own sandbox.
    """
    if sys.platform == "linux":
        _prctl(PR_SET_DUMPABLE, 0)


def enter_sandbox(packages: Iterable[Path]) -> tuple[str, ...]:
    """Confine this process for good; return what this machine lacks for it, in words.

    Afterwards it can compute, use the descriptors that it has, and read Python, its libraries,
    ``packages``, fonts and time zones. It cannot write or create files, read others, open sockets,
    start processes or programs, or reach other processes. What it imports later is read only if it
    lies there.

    Args:
        packages: folders that may be read as well.
    """
    if sys.platform != "linux":
        return (f"no sandbox for {sys.platform}",)
    missing = []
    try:
        OOM_SCORE_FILE.write_text(str(OOM_SCORE_ADJ), encoding="ascii")
    except OSError as error:
        missing.append(f"{OOM_SCORE_FILE}: {error.strerror}")
    # No limit on processes: it counts all of the user's, and threads too, which libde265 needs.
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))
    if (threads := len(list(THREADS.iterdir()))) > 1:
        missing.append(f"{threads} threads, of which Landlock confines one")
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    # Landlock first: its calls are not among those that the filter permits.
    lacking = _restrict_files(packages), _restrict_calls()
    return (*missing, *filter(None, lacking))


def _restrict_files(packages: Iterable[Path]) -> str | None:
    readable = [*_python(), *map(Path, (*LIBRARIES, *FONTS, *ZONES, CORES)), *packages]
    try:
        # Signals and abstract sockets of others, where the kernel knows them (since 6.12).
        with Ruleset(scoped=Scope.SIGNAL | Scope.ABSTRACT_UNIX_SOCKET) as rules:
            for place in {place.resolve() for place in readable if place.exists()}:
                folder = AccessFS.READ_DIR if place.is_dir() else AccessFS.NONE
                rules.allow_path(place, AccessFS.READ_FILE | folder)
            rules.restrict()
    except (UnsupportedError, LandlockError) as error:
        return f"Landlock: {error}"
    return None


def _restrict_calls() -> str | None:
    try:
        install_filter()
    except SeccompUnavailable as error:
        return f"seccomp: {error}"
    return None


def _python() -> list[Path]:
    """Return the folders of Python and of what is installed for it."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = [Path(sysconfig.get_path(name)) for name in names]
    shared = sysconfig.get_config_var("LIBDIR")
    return [*folders, *([Path(str(shared))] if shared else [])]


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
