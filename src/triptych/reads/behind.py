"""How far a projection is behind, asked seldom however many read."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from triptych.errors import Unavailable
from triptych.runtime.shared_check import SharedCheck

LAG_KEPT_S = 2.0
"""Seconds for which an answer counts: a brand that was deleted is read for no longer."""
LAG_DEADLINE_S = 1.0
"""Seconds that the question may take."""
SILENCE_S = 5.0
"""Seconds for which nothing is asked after a question without an answer: nobody waits again."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Lag:
    """What Postgres has that the projection does not show, at one moment."""

    seconds: Mapping[str, float | None]
    """By brand, since it was published; None for a brand that must not be read from the projection,
    because it was deleted or has no snapshot any more."""

    def of(self, brands: frozenset[str] | None) -> float:
        """Return the greatest lag of some brands, or of all, in seconds; 0 if none is behind."""
        return max((seconds or 0.0 for seconds in self._those(brands)), default=0.0)

    def may_read(self, brands: frozenset[str] | None) -> bool:
        """Return whether the projection may be read for some brands, or for all."""
        return all(seconds is not None for seconds in self._those(brands))

    def _those(self, brands: frozenset[str] | None) -> list[float | None]:
        if brands is None:
            return list(self.seconds.values())
        return [self.seconds[brand] for brand in brands & self.seconds.keys()]


class Behind:
    """Asks how far a projection is behind, at most once in `LAG_KEPT_S`. For one event loop.

    Args:
        ask: returns the seconds of `Lag`.
        clock: seconds.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Mapping[str, float | None]]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._check = SharedCheck(
            self._learn, kept_s=LAG_KEPT_S, deadline_s=LAG_DEADLINE_S, clock=clock
        )
        self._known = Lag({})
        self._silent_until = clock()

    async def __call__(self) -> Lag | None:
        """Return the lag, as old as `LAG_KEPT_S` at most; None if nobody says."""
        if self._clock() < self._silent_until:
            return None
        try:
            await self._check()
        except Unavailable as error:
            if self._clock() >= self._silent_until:  # Many may have waited: one says it.
                log.warning("reads_lag_unknown", why=str(error), again_s=SILENCE_S)
                self._silent_until = self._clock() + SILENCE_S
            return None
        return self._known

    async def _learn(self) -> None:
        self._known = Lag(await self._ask())
