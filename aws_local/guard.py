"""Ends what a killed process would leave behind: ``python -m aws_local.guard`` is its own process.

Whoever starts others starts a guard first, and tells it of each. The guard's stdin ends when its
owner does, however that is; what still runs then is stopped: gently, and after `GRACE_S` by force.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]
GRACE_S = 10.0


class Guard:
    """A running guard. On Linux alone, whose process handles are never another process'."""

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Guard:
        """Start it."""
        if sys.platform == "linux":
            self._process = subprocess.Popen(
                [sys.executable, "-m", "aws_local.guard", str(self._grace_s)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for its owner.
            )
        return self

    def watch(self, pid: int, how: signal.Signals = signal.SIGTERM) -> None:
        """Have a child that was just started end with its owner; ``how`` is what stops it."""
        if self._process is not None:
            assert self._process.stdin is not None
            os.write(self._process.stdin.fileno(), f"{pid} {how.value}\n".encode())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, and with it whatever of its charges still runs."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


def main() -> None:
    """Read pids and signals until stdin ends; then end those processes."""
    grace_s = float(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    charges: list[tuple[int, int]] = []
    for line in sys.stdin.buffer:
        pid, how = map(int, line.split())
        try:
            charges.append((os.pidfd_open(pid), how))
        except ProcessLookupError:
            continue  # It has ended already.
    for handle, how in charges:
        _send(handle, how)
    for handle in _running([handle for handle, _ in charges], grace_s):
        _send(handle, signal.SIGKILL)


def _send(handle: int, number: int) -> None:
    with suppress(ProcessLookupError):  # It has ended.
        signal.pidfd_send_signal(handle, number)


def _running(handles: Iterable[int], within_s: float) -> set[int]:
    """Wait until all have ended, or the time is over; return those that run."""
    left = set(handles)
    poll = select.poll()
    for handle in left:
        poll.register(handle, select.POLLIN)
    until = time.monotonic() + within_s
    while left and (seconds := until - time.monotonic()) > 0:
        for handle, _ in poll.poll(seconds * 1000):
            poll.unregister(handle)
            left.discard(handle)
    return left


if __name__ == "__main__":
    main()
