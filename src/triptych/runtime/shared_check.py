"""A check that many ask for and that runs seldom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from triptych.errors import Unavailable


class SharedCheck:
    """Runs ``check`` once at a time, however many ask; its outcome counts for ``kept_s``.

    An outcome is as old as the begin of its check. For one event loop.
    """

    def __init__(
        self,
        check: Callable[[], Awaitable[None]],
        *,
        kept_s: float,
        deadline_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check = check
        self._kept_s = kept_s
        self._deadline_s = deadline_s
        self._clock = clock
        self._running: asyncio.Task[None] | None = None
        self._begun = 0.0

    async def __call__(self) -> None:
        """Return if the check succeeded. Cancelling one who asks does not affect the others.

        Raises:
            Unavailable: the check took longer than ``deadline_s``.
            Exception: whatever the check raised.
        """
        last = self._running
        if last is None or (last.done() and self._clock() - self._begun >= self._kept_s):
            self._begun = self._clock()
            last = self._running = asyncio.create_task(self._run())
            # Whoever asked may be gone; the next one hears of an error.
            last.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(last)

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._check()
        except TimeoutError as error:
            raise Unavailable(f"The check took longer than {self._deadline_s:g} s.") from error
