"""The processes that a process has started, held by handles that are never another process'."""

from __future__ import annotations

import os
import select
import signal
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path


class ProcessTree:
    """A process' descendants at one moment, those in sessions of their own included. Linux only."""

    def __init__(self, root: int) -> None:
        children = defaultdict(list)
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):  # It has just ended.
                pid = int(entry.parent.name)
                children[int(entry.read_text().rpartition(")")[2].split()[1])].append(pid)
        self._handles: dict[int, str] = {}
        waiting = [root]
        while waiting:
            for pid in children[waiting.pop()]:
                with suppress(FileNotFoundError, ProcessLookupError):
                    handle = os.pidfd_open(pid)
                    command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
                    self._handles[handle] = command.strip()
                    waiting.append(pid)

    @property
    def commands(self) -> list[str]:
        """Return how each was called."""
        return list(self._handles.values())

    def left(self, within_s: float) -> list[str]:
        """Wait for all to end; return the commands of those that run when the time is over."""
        running = dict(self._handles)
        poll = select.poll()
        for handle in running:
            poll.register(handle, select.POLLIN)
        until = time.monotonic() + within_s
        while running and (seconds := until - time.monotonic()) > 0:
            for handle, _ in poll.poll(seconds * 1000):
                poll.unregister(handle)
                del running[handle]
        return sorted(running.values())

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all that still run."""
        for handle in self._handles:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)

    def close(self) -> None:
        """Let go of the handles."""
        for handle in self._handles:
            os.close(handle)
        self._handles.clear()
