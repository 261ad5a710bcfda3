"""Keys that may have changed and must be read: each is queued once, at a limited rate."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class KeyedDebouncer(Generic[Key]):
    """Waiting keys. Bounded by the number of keys: a waiting key is not added again.

    A key may be taken again ``every_s`` after it was taken. A key added before that waits until
    then, so the last change is never lost.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._due: dict[Key, float] = {}
        self._taken: dict[Key, float] = {}
        self._added = asyncio.Event()

    def add(self, key: Key, *, at_once: bool = False) -> None:
        """Queue a key; ``at_once`` makes it due now, regardless of ``every_s``."""
        due = 0.0 if at_once else self._taken.get(key, 0.0)
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._added.set()

    def take(self) -> list[Key]:
        """Return the keys that are due."""
        now = asyncio.get_running_loop().time()
        taken = [key for key, due in self._due.items() if due <= now]
        self._taken = {key: until for key, until in self._taken.items() if until > now}
        for key in taken:
            del self._due[key]
            self._taken[key] = now + self._every_s
        return taken

    async def wait(self) -> None:
        """Return when a key is due."""
        loop = asyncio.get_running_loop()
        while True:
            self._added.clear()
            left = min(self._due.values(), default=float("inf")) - loop.time()
            if left <= 0:
                return
            try:
                # Not wait_for: before Python 3.12 it may swallow this task's cancellation.
                async with asyncio.timeout(None if left == float("inf") else left):
                    await self._added.wait()
            except TimeoutError:
                return
