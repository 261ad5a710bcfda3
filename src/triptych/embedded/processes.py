"""Which processes of Postgres serve a cluster, recognised by the cluster's name.

Only what every account can see of every process is read: its owner and its command line.
Root in a container cannot see more of another account's processes either.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PS_S = 30.0

_POSTGRES = re.compile(r"(?:^|/)postgres(: |$| )")
"""How the command of a postmaster ends, or the title of one of its processes begins."""


@dataclass(frozen=True, slots=True)
class Serving:
    """The processes that serve one cluster; false if there is none."""

    postmasters: frozenset[int]
    """The postmaster; for an instant also a process that it has just forked."""
    others: frozenset[int]
    """Its sessions and its own processes, which can outlive it."""

    def __bool__(self) -> bool:
        return bool(self.postmasters or self.others)


def serving(name: str, uid: int) -> Serving:
    """Return the pids of the account's processes that serve the cluster of that name.

    The postmaster has the name among its arguments, its processes have it in their titles.
    Processes that have ended and are not yet reaped do not count.
    """
    whole = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    postmasters: set[int] = set()
    others: set[int] = set()
    for pid, owner, command in _processes():
        program = _POSTGRES.search(command.partition("\0")[0])
        if owner == uid and program and whole.search(command):
            (others if program[1] == ": " else postmasters).add(pid)
    return Serving(frozenset(postmasters), frozenset(others))


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
