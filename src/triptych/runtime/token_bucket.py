"""A token bucket: so many at once, so many a second in the long run."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Full at first. Not for several threads at once.

    Args:
        rate: tokens a second that flow in.
        burst: tokens that it holds at most.
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

        What is refused costs nothing.
        """
        now = self._clock()
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            return (1 - self._level) / self._rate
        self._level -= 1
        return 0.0
