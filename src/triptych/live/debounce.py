"""What may have changed and is to be read: each key once, and none more often than its pace."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class KeyedDebouncer(Generic[Key]):
    """Keys in waiting. Bounded by the number of keys: a key that waits is not added again.

    A key may be taken again ``every_s`` after it was taken; what is told meanwhile waits until
    then, so the last change is never lost.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._due: dict[Key, float] = {}
        self._taken: dict[Key, float] = {}
        self._added = asyncio.Event()

    def add(self, key: Key, *, at_once: bool = False) -> None:
        """Wait for a turn with this key; ``at_once`` for a turn now, whatever its pace."""
        due = 0.0 if at_once else self._taken.get(key, 0.0)
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._added.set()

    def take(self) -> list[Key]:
        """Return the keys whose turn it is."""
        now = asyncio.get_running_loop().time()
        taken = [key for key, due in self._due.items() if due <= now]
        self._taken = {key: until for key, until in self._taken.items() if until > now}
        for key in taken:
            del self._due[key]
            self._taken[key] = now + self._every_s
        return taken

    async def wait(self) -> None:
        """Return when it is some key's turn."""
        loop = asyncio.get_running_loop()
        while True:
            self._added.clear()
            left = min(self._due.values(), default=float("inf")) - loop.time()
            if left <= 0:
                return
            try:
                # Not wait_for: before Python 3.12 it may swallow that this task is cancelled.
                async with asyncio.timeout(None if left == float("inf") else left):
                    await self._added.wait()
            except TimeoutError:
                return
