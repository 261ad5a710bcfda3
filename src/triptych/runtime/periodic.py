"""Work that a process does again and again until it stops, and the pauses in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from triptych.errors import Unavailable

JITTER = (0.5, 1.5)
"""What a pause is multiplied with, so that processes do not work in step."""

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

    What it raises is logged and ends nothing: of an outage the first failure, any other error each
    time. Work that is under way when ``stop`` is set is finished.

    Args:
        name: of the loop, in the log.
        work: returns True if there is more to do now: then it goes on without a pause.
        stop: ends the loop, and a pause at once.
        every_s: the mean pause in seconds.
        pause_first: begin with a pause: for work that no starting process should hurry.
    """
    away = False
    if pause_first:
        await pause(stop, every_s * random.uniform(*JITTER))  # noqa: S311
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
            await pause(stop, every_s * random.uniform(*JITTER))  # noqa: S311


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait ``seconds``, or until ``stop`` is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
