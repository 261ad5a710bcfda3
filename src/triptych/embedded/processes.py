"""Which processes of Postgres serve a cluster, recognised by the cluster's name.

Only what every account can see of every process is read: its owner and its command line.
Root in a container cannot see more of another account's processes either.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PS_S = 30.0

_POSTGRES = re.compile(r"(^|/)postgres(: |$| )")
"""How the command of a postmaster ends, or the title of one of its processes begins."""


def serving(name: str, uid: int) -> list[int]:
    """Return the pids of the account's processes that serve the cluster of that name.

    The postmaster has the name among its arguments, its processes have it in their titles.
    Processes that have ended and are not yet reaped do not count.
    """
    whole = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    return [
        pid
        for pid, owner, command in _processes()
        if owner == uid and _POSTGRES.search(command.partition("\0")[0]) and whole.search(command)
    ]


def _from_proc() -> Iterator[tuple[int, int, str]]:
    """Yield pid, owner and command of each process; NUL characters separate the arguments."""
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            command = process.joinpath("cmdline").read_bytes().decode(errors="replace")
            yield int(process.name), process.stat().st_uid, command
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is hidden


def _from_ps() -> Iterator[tuple[int, int, str]]:
    """Yield the same where there is no ``/proc``; spaces separate the arguments."""
    listing = subprocess.run(
        ["ps", "-axww", "-o", "pid=,uid=,command="],  # noqa: S607
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        timeout=PS_S,
    ).stdout
    for line in listing.splitlines():
        pid, uid, command = line.split(None, 2)
        yield int(pid), int(uid), command


_processes = _from_proc if sys.platform == "linux" else _from_ps
