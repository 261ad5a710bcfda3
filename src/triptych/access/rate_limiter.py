"""Rate limits: one token bucket per identity, in bounded memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from triptych.errors import TooManyRequests
from triptych.runtime.token_bucket import TokenBucket

BUCKETS_MAX = 10_000
"""The most identities remembered; the least recent is evicted first, with a full bucket."""


class RateLimiter:
    """``rate`` requests per second on average, ``burst`` at once. Local to this process."""

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        setting: str = "TRIPTYCH_API_RATE",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``setting`` is what the remedy of a refusal names."""
        self._rate = rate
        self._burst = burst
        self._setting = setting
        self._clock = clock
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, name: str) -> None:
        """Count a request.

        Raises:
            TooManyRequests: with the seconds until the next request is allowed.
        """
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = TokenBucket(self._rate, self._burst, clock=self._clock)
            self._buckets[name] = bucket
        self._buckets.move_to_end(name)
        if len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)
        if wait_s := bucket.take():
            raise TooManyRequests(
                f"More than {self._rate:g} requests a second.",
                remedy=f"Wait as Retry-After says; {self._setting} is the limit.",
                retry_after_s=wait_s,
            )
