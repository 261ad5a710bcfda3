"""A measured program's side: it says when it is ready, is told to go, and says when it is done.

Nothing but Python itself is imported, for peers run this in an environment of their own. Programs
that it leaves behind stay under it, so that what they spend is counted.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import socket
import sys
from typing import Any

CHANNEL = "BENCH_CHANNEL"
PR_SET_CHILD_SUBREAPER = 36


class Track:
    """The way to the one who measures; its arguments are the program's only one, in JSON."""

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        channel = socket.socket(fileno=int(os.environ.pop(CHANNEL)))
        channel.set_inheritable(False)
        self._lines = channel.makefile("r", encoding="utf-8")
        self._channel = channel
        self.arguments: dict[str, Any] = json.loads(sys.argv[1])

    def say(self, **told: object) -> None:
        """Say that it is ready, the first time; that an order is done, each time after."""
        self._channel.sendall(json.dumps(told).encode() + b"\n")

    def order(self) -> dict[str, Any] | None:
        """Wait for the next order; None when there is none any more."""
        line = self._lines.readline()
        return json.loads(line) if line else None

    async def next_order(self) -> dict[str, Any] | None:
        """Wait likewise, beside what else an event loop does."""
        return await asyncio.to_thread(self.order)
