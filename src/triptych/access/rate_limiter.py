"""How often one identity may ask: a token bucket each, in bounded memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from triptych.errors import TooManyRequests

BUCKETS_MAX = 10_000
"""Identities remembered; the one that asked the longest ago is forgotten first, full again."""


class RateLimiter:
    """``rate`` requests a second in the long run, ``burst`` at once. Of this process alone."""

    def __init__(
        self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> None:
        """Count a request.

        Raises:
            TooManyRequests: with the seconds until the next one.
        """
        now = self._clock()
        level, at = self._buckets.get(name, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        allowed = level >= 1
        self._buckets[name] = (level - 1 if allowed else level, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)
        if not allowed:
            raise TooManyRequests(
                f"More than {self._rate:g} requests a second.",
                remedy="Wait as Retry-After says; TRIPTYCH_API_RATE is the limit.",
                retry_after_s=(1 - level) / self._rate,
            )
