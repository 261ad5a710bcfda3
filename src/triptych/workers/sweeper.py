"""The sweeper: a loop in every worker that repairs the effects of crashes and lost messages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from triptych.runs.registry import ActiveBrandRegistry
from triptych.runtime.periodic import run_periodically


@dataclass(frozen=True, slots=True)
class SweepIntervals:
    """The sweep's interval, and when work counts as left undone; all in seconds."""

    sweep_s: float
    idle_s: float
    quiet_s: float
    resend_s: float
    owed_s: float


class Sweeper:
    """Stateless: any number of workers may run one, and none has to."""

    def __init__(self, registry: ActiveBrandRegistry, intervals: SweepIntervals) -> None:
        self._registry = registry
        self._intervals = intervals

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until ``stop``, at jittered intervals so that workers do not sweep in step."""
        await run_periodically("sweeper", self.sweep, stop, every_s=self._intervals.sweep_s)

    async def sweep(self) -> None:
        """Sweep once. A scheduled task calls this where workers scale to zero."""
        await self._registry.sweep(
            idle_s=self._intervals.idle_s,
            quiet_s=self._intervals.quiet_s,
            resend_s=self._intervals.resend_s,
            owed_s=self._intervals.owed_s,
        )
