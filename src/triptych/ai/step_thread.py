"""A thread of its own for what a step computes."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], *, name: str) -> T:
    """Run ``work`` in its own daemon thread and return its result.

    A process waits for the pool of `asyncio.to_thread` when it exits. An abandoned thread of this
    function keeps no process alive and occupies no pool slot.
    """
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # Cancelling now ends only the wait.

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - re-raised by the waiter
            done.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name=name, daemon=True).start()
    return await asyncio.wrap_future(done)
