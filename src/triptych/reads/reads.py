"""Immediate reads: answered by a projection where it can, and else by Postgres."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from triptych.errors import NotFound, ReadsUnavailable, SearchUnavailable
from triptych.reads.availability import Availability
from triptych.reads.behind import Lag
from triptych.reads.read_stores import NotProjected, ReadStores
from triptych.telemetry.metrics import READS

ANSWER_S = 3.0
"""Seconds that the projection has for an answer before Postgres is asked."""
LISTS_LAG_MAX_S = 60.0
"""Seconds that the projection may be behind with any of several brands that are read at once. With
more it may lack some altogether, as it does while it is filled."""
NO_BRAND = ""
"""The name of no brand: to ask for it is a probe."""

T = TypeVar("T")
Source = Literal["mongodb", "postgres"]
Reason = Literal["off", "fresh", "not_projected", "unavailable"]
"""Why Postgres was asked: there is no projection; the request wanted it; the projection does not
have what was asked for, or not all of it; it does not answer, or did not a moment ago."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What was read, of one store from beginning to end."""

    value: T
    source: Source
    lag_s: float | None
    """Seconds since something was published that it does not show: 0 if it shows all. None if
    Postgres does not say."""


@dataclass(frozen=True, slots=True)
class Projected:
    """A projection's stores, and how far it is behind."""

    stores: ReadStores
    behind: Callable[[], Awaitable[Lag | None]]


class Reads:
    """Decides which database an immediate read is answered by. For one event loop.

    Args:
        stores: of Postgres.
        projected: of the projection; None if there is none.
        clock: seconds.
    """

    def __init__(
        self,
        stores: ReadStores,
        projected: Projected | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stores = stores
        self._projected = projected
        self._availability = Availability(self._probe, clock=clock)

    async def answer(
        self,
        work: Callable[[ReadStores], Awaitable[T]],
        *,
        brands: frozenset[str] | None,
        fresh: bool = False,
        within_s: float = ANSWER_S,
    ) -> Answer[T]:
        """Do some reading on one database.

        A projection that says that there is no such thing is not believed: Postgres decides.

        Args:
            work: reads, of the stores that it is given alone. It may be done twice.
            brands: that it reads of; None for all.
            fresh: whether Postgres is wanted.
            within_s: seconds that the projection has for it.

        Raises:
            Exception: whatever ``work`` raises with Postgres' stores, and what it raises with the
                projection's but `NotFound`, `NotProjected`, `ReadsUnavailable` and
                `SearchUnavailable`.
        """
        reason: Reason
        if self._projected is None:
            reason = "off"
        elif fresh:
            reason = "fresh"
        else:
            found = await self._of_projection(self._projected, work, brands, within_s)
            if isinstance(found, Answer):
                READS.labels("mongodb", "projected").inc()
                return found
            reason = found
        READS.labels("postgres", reason).inc()
        return Answer(await work(self._stores), "postgres", 0.0)

    async def lag(self) -> Lag | None:
        """Return how far the projection is behind; None if nobody says, or there is none."""
        return None if self._projected is None else await self._projected.behind()

    async def close(self) -> None:
        """End what is under way."""
        await self._availability.close()

    async def _of_projection(
        self,
        projected: Projected,
        work: Callable[[ReadStores], Awaitable[T]],
        brands: frozenset[str] | None,
        within_s: float,
    ) -> Answer[T] | Reason:
        if not self._availability.asked():
            return "unavailable"
        try:
            async with asyncio.timeout(within_s) as limit:
                value = await work(projected.stores)
        except (NotProjected, NotFound):
            return "not_projected"
        except ReadsUnavailable as error:
            self._availability.failed(str(error))
            return "unavailable"
        except SearchUnavailable:
            return "unavailable"  # It is there, and too slow for this question.
        except TimeoutError:
            if not limit.expired():
                raise
            # One slow question or a server that hangs: a probe says which, with the next request.
            self._availability.failed(f"No answer within {within_s:g} s.", pause_s=0.0)
            return "unavailable"
        lag = await projected.behind()
        if lag is None:
            return Answer(value, "mongodb", None)
        several = brands is None or len(brands) > 1
        if not lag.may_read(brands) or (several and lag.of(brands) > LISTS_LAG_MAX_S):
            return "not_projected"
        return Answer(value, "mongodb", lag.of(brands))

    async def _probe(self) -> None:
        assert self._projected is not None
        try:
            await self._projected.stores.brands.snapshot_of(NO_BRAND)
        except (NotProjected, NotFound):
            return  # It has answered that there is no such brand.
