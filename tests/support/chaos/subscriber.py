"""Subscribers of live status: what they heard last has to be what the database holds at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

from tests.support.waiting import until_true
from triptych.client.subscription import follow
from triptych.errors import LiveUnavailable

RUN, BRAND = "run:", "brand:"
SETTLED_S = 30.0
"""Seconds in which the last states arrive after the last change: a subscriber that was cut off has
to connect again first."""


class Subscriber:
    """Follows runs from their first event on, and brands."""

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"} if key else None
        self.states: dict[str, Mapping[str, Any]] = {}
        """By topic: the last state."""
        self.events: dict[UUID, list[int]] = {}
        """By run: the seqs of its timeline, in the order in which they came."""
        self.violations: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    def follow_run(self, run: UUID) -> None:
        self.events[run] = []
        self._start(self._run(run))

    def follow_brands(self, brands: Sequence[str]) -> None:
        self._start(self._brands(brands))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(self._guarded(work)))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except LiveUnavailable as error:
            self.violations.append(f"live status: {error}")

    async def _run(self, run: UUID) -> None:
        topic = f"{RUN}{run}"
        updates = follow(self._url, [topic], after={topic: 0}, headers=self._headers)
        async with aclosing(updates):
            async for update in updates:
                if update.state is not None:
                    self.states[topic] = update.state
                self.events[run] += [event["seq"] for event in update.events]

    async def _brands(self, brands: Sequence[str]) -> None:
        topics = [f"{BRAND}{brand}" for brand in brands]
        updates = follow(self._url, topics, headers=self._headers)
        async with aclosing(updates):
            async for update in updates:
                if update.state is not None:
                    self.states[update.topic] = update.state

    async def until(self, agrees: Callable[[], list[str]]) -> list[str]:
        """Return what still differs from the database when the last states should have come."""
        try:
            await until_true(lambda: not agrees(), patience_s=SETTLED_S)
        except TimeoutError:
            return agrees()
        return []

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
