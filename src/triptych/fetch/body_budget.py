"""A byte budget for all bodies that a worker holds: downloads slow down, memory does not grow.

A body reserves its share before it is read: the declared length at once or, without a declared
length, `FIRST_BYTES` and then the rest of the cap in one step. A body that holds the cap never
waits, and the first shares of all others together leave room for one cap, so some body can always
proceed (checked when the budget is made).
"""

from __future__ import annotations

import asyncio
from collections import deque

from triptych.errors import SettingsError

FIRST_BYTES = 256 * 1024


class BodyBudget:
    """A byte budget for bodies. Requests are served in order; for one event loop.

    Args:
        size: total bytes of all bodies.
        cap: the most bytes of one body.
        bodies: the most bodies at a time.

    Raises:
        SettingsError: the sizes could let bodies deadlock.
    """

    def __init__(self, size: int, *, cap: int, bodies: int) -> None:
        least = cap + bodies * min(FIRST_BYTES, cap)
        if size < least:
            raise SettingsError(
                f"{bodies} downloads at a time with up to {cap} bytes each need {least} bytes.",
                field="TRIPTYCH_FETCH_MEMORY_BYTES",
                remedy="Raise it, or lower TRIPTYCH_FETCH_MAX_BYTES or "
                "TRIPTYCH_ACQUIRE_CONCURRENCY.",
            )
        self.cap = cap
        self._free = size
        self._size = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held(self) -> int:
        """Bytes that are reserved."""
        return self._size - self._free

    def share(self) -> BodyShare:
        """Return an empty share."""
        return BodyShare(self)

    async def take(self, count: int) -> None:
        """Wait until ``count`` more bytes may be held."""
        if not self._waiting and count <= self._free:
            self._free -= count
            return
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (count, slot)
        self._waiting.append(entry)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self.give(count)  # Granted in the moment of the cancellation.
            else:
                if entry in self._waiting:
                    self._waiting.remove(entry)
                self._serve()
            raise

    def give(self, count: int) -> None:
        """Return bytes to the budget."""
        self._free += count
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            count, slot = self._waiting[0]
            if not slot.cancelled():
                if count > self._free:
                    return
                self._free -= count
                slot.set_result(None)
            self._waiting.popleft()


class BodyShare:
    """The bytes that one body reserves, until they are released."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._taken = 0

    async def declare(self, count: int | None) -> None:
        """Wait for a body of ``count`` bytes, at most the cap; None if the length is unknown."""
        cap = self._budget.cap
        await self._grow(min(FIRST_BYTES if count is None else count, cap))

    async def hold(self, count: int) -> None:
        """Wait until the body may be ``count`` bytes long, at most the cap."""
        if count > self._taken:
            await self._grow(self._budget.cap)

    def settle(self, count: int) -> None:
        """Return the surplus once the body is complete with ``count`` bytes."""
        if count < self._taken:
            spare, self._taken = self._taken - count, count
            self._budget.give(spare)

    def release(self) -> None:
        """Return everything. Safe to repeat."""
        self.settle(0)

    async def _grow(self, size: int) -> None:
        more = size - self._taken
        if more > 0:
            await self._budget.take(more)
            self._taken = size
