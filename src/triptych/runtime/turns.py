"""Taking turns: what concerns the same key is done one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from types import TracebackType
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Turns(Generic[K]):
    """Lets one task at a time work on a key; others wait, first come, first served.

    For one event loop. A key is remembered while somebody works on it or waits for it.
    """

    def __init__(self) -> None:
        self._waiting: dict[K, deque[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        """Return the number of keys that somebody works on."""
        return len(self._waiting)

    def turn(self, key: K) -> Turn[K]:
        """Return a context manager whose block is the turn."""
        return Turn(self._waiting, key)


class Turn(Generic[K]):
    """One turn at a key."""

    __slots__ = ("_key", "_waiting")

    def __init__(self, waiting: dict[K, deque[asyncio.Future[None]]], key: K) -> None:
        self._waiting = waiting
        self._key = key

    async def __aenter__(self) -> None:
        """Wait until the key is free."""
        others = self._waiting.get(self._key)
        if others is None:
            self._waiting[self._key] = deque()
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        others.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._end()  # Granted in the moment of the cancellation.
            raise

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Let the next one work."""
        self._end()

    def _end(self) -> None:
        others = self._waiting[self._key]
        while others:
            next_one = others.popleft()
            if not next_one.cancelled():
                next_one.set_result(None)
                return
        del self._waiting[self._key]
