"""Many small requests, few large calls: single requests of callers are processed together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


class Batcher(Generic[In, Out]):
    """Collects inputs for up to ``wait_s`` or ``size``, then calls ``work`` once for all of them.

    ``work`` gets at most ``size`` inputs and returns as many outputs, in their order. At most
    ``parallel`` calls run at a time; inputs that arrive meanwhile wait and make a larger batch. An
    error of ``work`` reaches every caller of that batch. The number of callers bounds the memory.
    """

    def __init__(
        self,
        work: Callable[[Sequence[In]], Awaitable[Sequence[Out]]],
        *,
        size: int,
        wait_s: float,
        parallel: int = 1,
    ) -> None:
        self._work = work
        self._size = size
        self._wait_s = wait_s
        self._free = asyncio.Semaphore(parallel)
        self._waiting: list[tuple[In, asyncio.Future[Out]]] = []
        self._full = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def __call__(self, value: In) -> Out:
        """Return ``work``'s output for ``value``, computed together with others'."""
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._waiting.append((value, future))
        if len(self._waiting) >= self._size:
            self._full.set()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            with suppress(
                TimeoutError
            ):  # Fewer than ``size`` arrived in time: they are sent as they are.
                await asyncio.wait_for(self._full.wait(), self._wait_s)
            await self._free.acquire()
            batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            if len(self._waiting) < self._size:
                self._full.clear()
            call = asyncio.create_task(self._call(batch))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call(self, batch: list[tuple[In, asyncio.Future[Out]]]) -> None:
        try:
            outputs = await self._work([value for value, _ in batch])
            for (_, future), output in zip(batch, outputs, strict=True):
                if not future.done():
                    future.set_result(output)
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._free.release()
