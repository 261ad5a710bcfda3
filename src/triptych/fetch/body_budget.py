"""A budget in bytes for all bodies that a worker holds: downloads slow down, memory does not grow.

A body takes its share before it is read. Where the server declares a length, all of it at once;
where it does not, `FIRST_BYTES`, and once these are used up the rest of the cap in one step. Who
holds the cap never waits, and the first shares of all others together leave room for one cap, so
somebody can always go on (checked when the budget is made).
"""

from __future__ import annotations

import asyncio
from collections import deque

from triptych.errors import SettingsError

FIRST_BYTES = 256 * 1024


class BodyBudget:
    """Bytes for bodies. Served in the order of asking; for one event loop.

    Args:
        size: bytes of all bodies together.
        cap: of one body.
        bodies: at a time.

    Raises:
        SettingsError: bodies could come to wait for each other.
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
        """Bytes that are taken."""
        return self._size - self._free

    def share(self) -> BodyShare:
        """Return a share of nothing, to be grown."""
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
                self.give(count)  # It was this one's turn at the moment when it gave up.
            else:
                if entry in self._waiting:
                    self._waiting.remove(entry)
                self._serve()
            raise

    def give(self, count: int) -> None:
        """Give bytes back."""
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
    """What one body takes of the budget, until it is released."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._taken = 0

    async def declare(self, count: int | None) -> None:
        """Wait for a body of ``count`` bytes, at most the cap; None if that is not known."""
        cap = self._budget.cap
        await self._grow(min(FIRST_BYTES if count is None else count, cap))

    async def hold(self, count: int) -> None:
        """Wait until the body may be ``count`` bytes long, at most the cap."""
        if count > self._taken:
            await self._grow(self._budget.cap)

    def settle(self, count: int) -> None:
        """Give back what a body of ``count`` bytes does not need: it is whole."""
        if count < self._taken:
            spare, self._taken = self._taken - count, count
            self._budget.give(spare)

    def release(self) -> None:
        """Give all back. Safe to repeat."""
        self.settle(0)

    async def _grow(self, size: int) -> None:
        more = size - self._taken
        if more > 0:
            await self._budget.take(more)
            self._taken = size
