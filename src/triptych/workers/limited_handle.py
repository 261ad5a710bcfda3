"""A phase's handler within the limits of one batch, for who is given messages without asking."""

from __future__ import annotations

import asyncio

from triptych.errors import PhasePaused
from triptych.limits.limit_store import PAUSED_RETRY_S, Limits
from triptych.messages import Delivery
from triptych.workers.message_processor import Handle
from triptych.workers.worker import PhaseHandler


def limited(handler: PhaseHandler, limits: Limits) -> Handle:
    """Return a phase's handler that keeps the limits of this moment.

    While the phase is paused it puts every message off, uncounted. It has at most as many in hand
    at a time as the phase's concurrency says. The phase's hosts get their limits, too.
    """
    limit = limits.phases[handler.phase]
    if handler.hosts is not None:
        handler.hosts.set_limits(limits.hosts)
    if limit.paused:

        async def paused(_delivery: Delivery) -> None:
            raise PhasePaused(retry_after_s=PAUSED_RETRY_S)

        return paused
    if limit.concurrency is None:
        return handler.handle
    turns = asyncio.Semaphore(limit.concurrency)

    async def in_turn(delivery: Delivery) -> None:
        async with turns:
            await handler.handle(delivery)

    return in_turn
