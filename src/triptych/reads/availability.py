"""Whether a projection is asked: not for a while after it did not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from triptych.errors import ReadsUnavailable

DOWN_S = 5.0
"""Seconds for which nobody asks a projection after it did not answer."""
PROBE_S = 2.0
"""Seconds that it has to answer a probe."""

log = structlog.get_logger(__name__)


class Availability:
    """Remembers an outage, and finds its end by a probe that no request waits for. For one loop.

    Args:
        probe: returns if the projection answers; raises `ReadsUnavailable` if not.
        clock: seconds.
    """

    def __init__(
        self,
        probe: Callable[[], Awaitable[None]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probe = probe
        self._clock = clock
        self._away = False
        self._next_probe = 0.0
        self._probing: asyncio.Task[None] | None = None

    def asked(self) -> bool:
        """Return whether a request may ask the projection; begin a probe if one is due."""
        if self._away and self._probing is None and self._clock() >= self._next_probe:
            self._probing = asyncio.create_task(self._look())
        return not self._away

    def failed(self, why: str, *, pause_s: float = DOWN_S) -> None:
        """Record that it did not answer: it is asked again after a probe, in ``pause_s``."""
        if not self._away:
            log.warning("reads_unavailable", why=why, instead="postgres")
            self._next_probe = self._clock() + pause_s
        self._away = True

    async def close(self) -> None:
        """End a probe that is under way."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(PROBE_S):
                await self._probe()
            self._away = False
            log.info("reads_available")
        except (ReadsUnavailable, TimeoutError):
            pass  # It is still away, which was said when it went.
        except Exception:
            log.exception("reads_probe_failed")
        finally:
            self._next_probe = self._clock() + DOWN_S
            self._probing = None
