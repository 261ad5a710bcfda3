"""The dispatch window: how many items of one run may be outstanding at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from triptych.presence.presence_store import BEAT_S
from triptych.runs.fleet_store import Fleet, FleetStore

READ_EVERY_S = BEAT_S
"""Seconds for which a process computes with one count of workers and runs."""
MOST = 50_000
"""Items, by default, that no window exceeds."""


class DispatchWindow:
    """Follows the number of workers that acquire, and shares what they hold among the runs.

    Each worker adds ``per_worker`` items, and the runs that have items to send share the sum. No
    run gets less than ``per_worker``: so something is sent before there is a worker, which is what
    starts the first one, and where Lambda functions acquire, which are not counted. A window that
    has become smaller than what is outstanding takes nothing back: no more is sent until enough
    items have settled.
    """

    def __init__(
        self,
        per_worker: int,
        most: int = MOST,
        fleet: FleetStore | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Return the window of one process, which reads ``fleet`` when it is used.

        Args:
            per_worker: items for each worker, and the least for each run.
            most: items of one run at a time in any case.
            fleet: counts workers and runs; without it the window is ``per_worker``.
            clock: seconds that never run backwards.
        """
        self._per_worker = per_worker
        self._least = min(per_worker, most)
        self._most = most
        self._fleet = fleet
        self._clock = clock
        self._read_at: float | None = None
        self._size = self._least

    async def size(self) -> int:
        """Return the window of each run, in items, by a count at most `READ_EVERY_S` old.

        Raises:
            DatabaseUnavailable: the count was due and could not be read; the next call tries again.
        """
        if self._fleet is None:
            return self._size
        now, before = self._clock(), self._read_at
        if before is not None and now - before < READ_EVERY_S:
            return self._size
        # One caller reads; others who come meanwhile use the count before.
        self._read_at = now
        try:
            self._size = self.share(await self._fleet.fleet())
        except BaseException:
            self._read_at = before
            raise
        return self._size

    def share(self, fleet: Fleet) -> int:
        """Return one run's share of what the workers may have before them, within the limits."""
        together = self._per_worker * fleet.workers
        return min(max(together // max(fleet.runs, 1), self._least), self._most)
