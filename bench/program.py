"""A contender in a process of its own: ``python -m bench.program MODULE:NAME FD``.

What is named is a context manager, or an asynchronous one, that takes the contender's arguments,
starts what is measured and yields it `Ready`. The process says when it is, carries out orders, and
says when each is done. Programs that it leaves behind stay below it, so that what they spend is
counted. Only Python itself and uvloop are imported: peers run this in an environment of their own.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import uvloop

PR_SET_CHILD_SUBREAPER = 36
HOST = "127.0.0.1"
LISTEN_S = 60.0
"""What a server may take until it listens."""
PROBE_S = 0.02

Given = Mapping[str, Any]
"""A contender's arguments, or an order; whatever pickle takes."""


@dataclass(frozen=True)
class Ready:
    """A contender that has started."""

    work: Callable[[Given], Any]
    """Carries out an order; returns, or awaits, what is to be told of it: a mapping or None."""
    told: Given = field(default_factory=dict)
    """What the program reports when it is ready."""


def next_order(channel: Connection[Any, Any]) -> Given | None:
    """Wait for the next order; None when there is none any more."""
    try:
        order: Given = channel.recv()
    except EOFError:
        return None
    return order


def serve(opened: AbstractContextManager[Ready], channel: Connection[Any, Any]) -> None:
    """Carry out orders until there are none."""
    with opened as ready:
        channel.send(ready.told)
        while (order := next_order(channel)) is not None:
            channel.send(ready.work(order) or {})


async def serve_async(
    opened: AbstractAsyncContextManager[Ready], channel: Connection[Any, Any]
) -> None:
    """Do likewise, beside what else the event loop does."""
    async with opened as ready:
        channel.send(ready.told)
        while (order := await asyncio.to_thread(next_order, channel)) is not None:
            channel.send(await ready.work(order) or {})


def until_listening(port: int, runs: Callable[[], bool]) -> None:
    """Return when something listens at a port of loopback.

    Raises:
        OSError: nothing does in time, or what should no longer runs.
    """
    until = time.monotonic() + LISTEN_S
    while True:
        try:
            return socket.create_connection((HOST, port), 1).close()
        except OSError:
            if time.monotonic() > until or not runs():
                raise
            time.sleep(PROBE_S)


def main() -> None:
    """Run the program that is named."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    channel: Connection[Any, Any] = Connection(int(sys.argv[2]))
    os.set_inheritable(channel.fileno(), False)
    module, _, name = sys.argv[1].partition(":")
    opened = getattr(importlib.import_module(module), name)(channel.recv())
    if isinstance(opened, AbstractAsyncContextManager):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_async(opened, channel))
    else:
        serve(opened, channel)


if __name__ == "__main__":
    main()
