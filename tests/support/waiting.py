"""Waiting for a condition, with a deadline: in place of a sleep that hopes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 60.0
LOOK_EVERY_S = 0.02
LOOK_MOST_S = 0.1
"""Seconds between two questions: at first, and at most. What takes long is asked less often:
asking took half of the CPU time of tests that wait for a server."""
SLOWER = 1.5


async def until(
    ask: Callable[[], Awaitable[T]],
    good: Callable[[T], object] = bool,
    *,
    patience_s: float = PATIENCE_S,
) -> T:
    """Ask until the answer is good, and return it.

    Raises:
        TimeoutError: it is still not good after ``patience_s``.
    """
    pause_s = LOOK_EVERY_S
    async with asyncio.timeout(patience_s):
        while not good(found := await ask()):
            await asyncio.sleep(pause_s)
            pause_s = min(LOOK_MOST_S, SLOWER * pause_s)
    return found


async def until_true(condition: Callable[[], object], *, patience_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: it still does not hold after ``patience_s``.
    """
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(LOOK_EVERY_S)
