"""A token bucket: a limit for a burst, and a limit per second in the long run."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Starts full. Not thread-safe.

    Args:
        rate: tokens added per second.
        burst: the most tokens that it holds.
        clock: returns seconds that never go backwards.
    """

    __slots__ = ("_at", "_burst", "_clock", "_level", "_rate")

    def __init__(
        self, rate: float, burst: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._level = self._burst
        self._at = clock()

    def take(self) -> float:
        """Take a token: return 0 if there was one, else the seconds until there is.

        A refused request takes no token.
        """
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            return (1 - self._level) / self._rate
        self._level -= 1
        return 0.0
