"""An event loop in a thread of its own, for callers that have none, or one that is busy."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
_END = object()


class EventLoop:
    """Runs coroutines for callers that wait for them. A notebook's own loop is not used.

    It can be used from any thread, until it is closed.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon: an interpreter that is left without `close` ends.
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="triptych-notebook", daemon=True
        )
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._loop.is_closed()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns; interrupting the caller cancels it.

        Raises:
            RuntimeError: it is closed.
        """
        if self._loop.is_closed():
            work.close()
            raise RuntimeError("This connection is closed. Connect again: triptych.connect(…).")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            # Such as KeyboardInterrupt: the request must not go on behind the caller's back.
            future.cancel()
            raise

    def each(self, values: AsyncIterator[T]) -> Iterator[T]:
        """Yield what an asynchronous iterator yields, and close it when the caller stops."""
        try:
            while (value := self.wait(_next(values))) is not _END:
                yield value
        finally:
            if not self._loop.is_closed():
                self.wait(_close(values))

    def close(self) -> None:
        """End the thread. What still runs is cancelled."""
        if self._loop.is_closed():
            return
        self.wait(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _next(values: AsyncIterator[Any]) -> Any:
    return await anext(values, _END)


async def _close(values: AsyncIterator[Any]) -> None:
    close = getattr(values, "aclose", None)
    if close is not None:
        await close()


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
