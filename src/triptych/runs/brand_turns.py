"""Turns at a brand's active run, so that one locked run does not take a worker's connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from triptych.errors import RowLocked

AT_ONCE = 2
"""Transactions of one process on one brand: they wait for the same row anyway. With two, the next
one is at the database when the row becomes free."""
LOCKED_S = 5.0
"""After a `RowLocked`, seconds in which nothing else of this brand waits for the lock."""
LOCKED_MAX = 1_000
"""Locked brands that are remembered."""


class BrandTurns:
    """Lets `AT_ONCE` transactions of each brand run; for one event loop.

    While a brand's run is locked for long, by a large commit or by a process that is frozen in one,
    further work on the brand is refused at once: hundreds of messages of that brand would otherwise
    hold the worker's connections and its places for messages of other brands.
    """

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._locked_until: dict[str, float] = {}

    @asynccontextmanager
    async def turn(self, brand: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it.

        Raises:
            RowLocked: the brand's run was found locked a moment ago.
        """
        turns = self._turns.get(brand)
        if turns is None:
            turns = self._turns[brand] = asyncio.Semaphore(AT_ONCE)
        async with turns:
            if time.monotonic() < self._locked_until.get(brand, 0.0):
                raise RowLocked
            try:
                yield
            except RowLocked:
                self._remember(brand)
                raise

    def _remember(self, brand: str) -> None:
        now = time.monotonic()
        if len(self._locked_until) >= LOCKED_MAX:
            self._locked_until = {
                b: until for b, until in self._locked_until.items() if until > now
            }
        self._locked_until[brand] = now + LOCKED_S
