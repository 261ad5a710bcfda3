"""Brings the brands in: by the API run after run, or by messages of no program of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from tests.support.chaos.brands import Brand, Way
from tests.support.chaos.origin import Answer
from tests.support.chaos.patient_api import PatientApi, Refusal
from tests.support.chaos.raw_queues import url_messages
from tests.support.chaos.schedule import CHAOS_S
from tests.support.chaos.shape import Shape
from triptych.messages import GATHER_QUEUE, URL_QUEUE

LOOK_S = 0.3
PARTS = 3
"""Parts that a brand of single URLs comes in, some time apart."""


@dataclass(frozen=True)
class Submitted:
    """A run that the API opened."""

    run: UUID
    brand: Brand
    revision: int


class Submitter:
    """Brings in all brands of a trial."""

    def __init__(
        self, shape: Shape, origin: Answer, api: PatientApi, opened: Callable[[Submitted], None]
    ) -> None:
        self._shape = shape
        self._origin = origin
        self._api = api
        self._opened = opened
        self.submitted: list[Submitted] = []

    async def bring_in(self, brand: Brand, began: float) -> None:
        """Bring in a brand and return when its last run is over. ``began`` is by the loop's clock.

        A new run begins only while things still happen.
        """
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, began + brand.start_s - loop.time()))
        if brand.way is Way.GATHER_MESSAGE:
            await self._shape.queues.send(GATHER_QUEUE, [{"brand": brand.name}])
            return
        if brand.way is Way.URL_MESSAGES:
            await self._send_urls(brand)
            return
        for revision in range(brand.revisions):
            await self._run(brand, revision)
            await asyncio.sleep(brand.pause_s)
            if loop.time() - began > CHAOS_S:
                return

    async def _send_urls(self, brand: Brand) -> None:
        urls = [self._origin.url(brand, number) for number in brand.numbers(0)]
        size = len(urls) // PARTS + 1
        for start in range(0, len(urls), size):
            part = urls[start : start + size]
            await self._shape.queues.send(URL_QUEUE, url_messages(brand, part))
            await asyncio.sleep(brand.pause_s)

    async def _run(self, brand: Brand, revision: int) -> None:
        # No run of the brand is active: what is fetched from now on is this revision's.
        self._origin.revisions[brand.name] = revision
        try:
            run = await self._api.start(brand.name, self._origin.source(revision))
        except Refusal as refusal:
            self._shape.record.violations.append(f"{brand.name}: start refused: {refusal}")
            return
        submitted = Submitted(run, brand, revision)
        self.submitted.append(submitted)
        self._opened(submitted)
        while True:
            shown = await self._api.ask("GET", f"/runs/{run}")
            if shown is None:
                self._shape.record.violations.append(f"run {run} of {brand.name}: 404")
                return
            if shown["state"] != "active":
                return
            await asyncio.sleep(LOOK_S)
