"""How far a projection is behind, asked seldom however many read."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import structlog

from triptych.errors import Unavailable
from triptych.model import Brand
from triptych.reads.projection_store import ProjectionStore
from triptych.runtime.shared_check import SharedCheck

LAG_KEPT_S = 1.0
"""Seconds for which an answer counts: a brand that was deleted is read for no longer."""
LAG_DEADLINE_S = 1.0
"""Seconds that the question may take."""
SILENCE_S = 5.0
"""Seconds for which nothing is asked after a question without an answer: nobody waits again."""
BRANDS_CHECKED = 1_000
"""Brands that are behind of which one question finds out whether they are gone."""

log = structlog.get_logger(__name__)


class Named(Protocol):
    """The part of `BrandStore` that this needs."""

    async def brands_of(self, names: Sequence[str], run_ids: Sequence[UUID]) -> Sequence[Brand]:
        """Return the named brands that exist."""
        ...


@dataclass(frozen=True, slots=True)
class Lag:
    """What Postgres has that the projection does not show, at one moment."""

    seconds: Mapping[str, float]
    """By brand, since it was published."""
    gone: frozenset[str]
    """Brands that must not be read from the projection: they were deleted, or have no snapshot any
    more. Of more than `BRANDS_CHECKED` that are behind, those are among them that were not looked
    at."""

    def of(self, brands: frozenset[str] | None) -> float:
        """Return the greatest lag of some brands, or of all, in seconds; 0 if none is behind."""
        if brands is None:
            return max(self.seconds.values(), default=0.0)
        return max((self.seconds.get(brand, 0.0) for brand in brands), default=0.0)

    def may_read(self, brands: frozenset[str] | None) -> bool:
        """Return whether none of some brands, or of all, is gone."""
        return not (self.gone if brands is None else self.gone & brands)


class Behind:
    """Asks Postgres how far a projection is behind, at most once in `LAG_KEPT_S`. For one loop.

    Args:
        store: has what is projected.
        brands: has the brands.
        target: returns the id of the projection's database.
        clock: seconds.
    """

    def __init__(
        self,
        store: ProjectionStore,
        brands: Named,
        target: Callable[[], Awaitable[UUID]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._brands = brands
        self._target = target
        self._clock = clock
        self._check = SharedCheck(
            self._ask, kept_s=LAG_KEPT_S, deadline_s=LAG_DEADLINE_S, clock=clock
        )
        self._known = Lag({}, frozenset())
        self._silent_until = clock()

    async def __call__(self) -> Lag | None:
        """Return the lag, as old as `LAG_KEPT_S` at most; None if nobody says."""
        if self._clock() < self._silent_until:
            return None
        try:
            await self._check()
        except Unavailable as error:
            if self._clock() >= self._silent_until:
                log.warning("reads_lag_unknown", why=str(error), again_s=SILENCE_S)
            self._silent_until = self._clock() + SILENCE_S
            return None
        return self._known

    async def _ask(self) -> None:
        seconds = await self._store.behind(await self._target())
        self._known = Lag(seconds, await self._gone(seconds))

    async def _gone(self, seconds: Mapping[str, float]) -> frozenset[str]:
        if not seconds:
            return frozenset()
        # Those that have been behind for the longest are what a deletion may have left.
        checked = sorted(seconds, key=lambda brand: -seconds[brand])[:BRANDS_CHECKED]
        found = await self._brands.brands_of(checked, [])
        there = {brand.name for brand in found if brand.current_run is not None}
        return frozenset(seconds) - there
