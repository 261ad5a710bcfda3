"""Work that a process repeats until it stops, and the pauses in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from triptych.errors import Unavailable

JITTER = (0.5, 1.5)
"""Jitter: the factor by which a pause is multiplied, so that processes do not work in step."""

RANDOM = random.SystemRandom()
"""Not the module's own generator, whose state belongs to the code that seeds it."""

log = structlog.get_logger(__name__)


async def run_periodically(
    name: str,
    work: Callable[[], Awaitable[bool | None]],
    stop: asyncio.Event,
    *,
    every_s: float,
    pause_first: bool = False,
) -> None:
    """Do ``work`` until ``stop``, with a pause of about ``every_s`` after each time.

    Errors are logged and do not end the loop: of an outage only the first, any other error each
    time. Work in progress when ``stop`` is set is finished.

    Args:
        name: of the loop, in the log.
        work: returns True if there is more to do now: then it continues without a pause.
        stop: ends the loop, and a pause at once.
        every_s: the mean pause in seconds.
        pause_first: begin with a pause: for work that need not be done at start.
    """
    away = False
    if pause_first:
        await pause(stop, every_s * RANDOM.uniform(*JITTER))
    while not stop.is_set():
        try:
            more = await work()
            away = False
        except Unavailable as error:
            if not away:
                log.warning("loop_waits", loop=name, error=str(error))
            more, away = False, True
        except Exception:
            log.exception("loop_failed", loop=name)
            more = False
        if not more:
            await pause(stop, every_s * RANDOM.uniform(*JITTER))


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait ``seconds``, or until ``stop`` is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
