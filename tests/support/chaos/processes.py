"""The processes of a trial: found by what they were started with, signalled by handles.

Those of ours carry the trial's home folder in their environment, which even decoders inherit; those
of Postgres carry their cluster's name. So every process is found, whatever has happened to the one
that started it. Linux only.
"""

from __future__ import annotations

import os
import re
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


class Role(StrEnum):
    """What a process does."""

    UP = "up"
    WORKER = "worker"
    API = "api"
    LIVE = "live"
    OTHER = "other"


@dataclass(frozen=True)
class Found:
    """A process at one moment."""

    pid: int
    role: Role
    command: str

    def __str__(self) -> str:
        return f"{self.role} {self.pid} ({self.command[:120]})"


class Processes:
    """All processes that have a folder as their home."""

    def __init__(self, home: Path) -> None:
        self._mark = f"HOME={home}".encode()

    def find(self, *roles: Role) -> list[Found]:
        """Return those of some roles, or all, in the order of their pids."""
        found = [each for each in self._all() if not roles or each.role in roles]
        return sorted(found, key=lambda each: each.pid)

    def _all(self) -> Iterator[Found]:
        for pid, words in _commands():
            with suppress(*GONE):
                if self._mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    yield Found(pid, _role(words), " ".join(words).strip())

    def send(self, found: Found, number: signal.Signals) -> bool:
        """Send a signal to exactly that process; return whether it was still there."""
        with _handle(found.pid) as handle:
            if handle is None or found not in self.find(found.role):
                return False
            return _send(handle, number)

    def left(self, within_s: float) -> list[Found]:
        """Wait until none runs any more; return those that do when the time is over."""
        until = time.monotonic() + within_s
        while (running := self.find()) and time.monotonic() < until:
            _wait_for(running[0].pid, until - time.monotonic())
        return running


def _commands() -> Iterator[tuple[int, list[str]]]:
    """Yield each process' pid and its words; not those that have ended and are not reaped."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(*GONE):
            words = folder.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")
            if any(words):
                yield int(folder.name), words


def _is_postgres(words: Sequence[str], cluster: str) -> bool:
    """Return whether a process serves the cluster: its postmaster, or one that has a title."""
    program = re.search(r"(^|/)postgres(:|$)", words[0])
    return bool(program) and re.search(rf"{cluster}(?![\w-])", " ".join(words)) is not None


def _role(words: Sequence[str]) -> Role:
    if "triptych" in words[:4]:
        with suppress(ValueError):
            return Role(words[words.index("triptych") + 1])
    return Role.OTHER


@contextmanager
def _handle(pid: int) -> Iterator[int | None]:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def _send(handle: int, number: signal.Signals) -> bool:
    try:
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    return True


def _wait_for(pid: int, seconds: float) -> None:
    with _handle(pid) as handle:
        if handle is not None:
            select.select([handle], [], [], max(seconds, 0))


class PostgresProcesses:
    """The processes of the Postgres whose cluster is in a folder."""

    def __init__(self, cluster: Path) -> None:
        self._cluster = cluster

    def pids(self) -> list[int]:
        """Return the pids of all."""
        try:
            found = self._cluster.stat()
        except FileNotFoundError:
            return []
        name = f"triptych-{found.st_dev:x}-{found.st_ino:x}"
        return sorted(pid for pid, words in _commands() if _is_postgres(words, name))

    def postmaster(self) -> int | None:
        """Return the postmaster's pid, if one runs."""
        with suppress(FileNotFoundError, ValueError, IndexError):
            pid = int((self._cluster / "postmaster.pid").read_text().split()[0])
            if pid in self.pids():
                return pid
        return None

    def kill(self, pid: int) -> bool:
        """SIGKILL one of them; return whether it was there."""
        return self.send(pid, signal.SIGKILL)

    def send(self, pid: int, number: signal.Signals) -> bool:
        """Send a signal to one of them; return whether it was there."""
        with _handle(pid) as handle:
            if handle is None or pid not in self.pids():
                return False
            return _send(handle, number)

    def left(self, within_s: float) -> list[int]:
        """Wait until none runs any more; return those that do when the time is over."""
        until = time.monotonic() + within_s
        while (running := self.pids()) and time.monotonic() < until:
            _wait_for(running[0], until - time.monotonic())
        return running
