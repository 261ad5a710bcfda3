"""Phase 3, AI: ask every step about a brand's committed snapshot, publish the answers together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID

import orjson
import structlog

from triptych.insights.step import Snapshot, Step, load_snapshot
from triptych.messages import AiBody, Delivery, Headers, parse_body
from triptych.model import Insight
from triptych.ports import Catalogue

RESULT_MAX_BYTES = 64 * 1024 * 1024

log = structlog.get_logger(__name__)


class AiPhase:
    """Handles messages of ``brand-ai-phase-queue``.

    Safe to repeat: a run's AI phase is claimed, and published in one transaction if the claim
    still stands and the run still is the brand's snapshot. Stopped half-way, nothing is published.
    """

    def __init__(self, catalogue: Catalogue, steps: Sequence[Step]) -> None:
        self._catalogue = catalogue
        self._steps = steps

    async def handle(self, delivery: Delivery) -> None:
        """Process the brand named in the body.

        Raises:
            InvalidMessage: the body or a header is wrong.
        """
        body = parse_body(AiBody, delivery.body)
        await self.process(body.brand, Headers.decode(delivery.headers).run_id)

    async def process(self, brand: str, run_id: UUID | None) -> None:
        """Ask all steps about a run's snapshot, or about the brand's current one.

        Nothing happens for a run whose AI phase is done or that a newer commit has superseded.
        """
        run = await self._catalogue.begin_ai(brand, run_id)
        if run is None:
            return
        snapshot = await load_snapshot(self._catalogue, run)
        insights = [await asyncio.to_thread(_ask, step, snapshot) for step in self._steps]
        published = await self._catalogue.finish_ai(run.id, insights)
        log.info("ai_finished", brand=brand, run=str(run.id), published=published)


def _ask(step: Step, snapshot: Snapshot) -> Insight:
    """Run one step; whatever it raises is recorded as its failure and loses no other."""
    start = time.perf_counter()
    try:
        result = step.run(snapshot)
        encoded = orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
        if len(encoded) > RESULT_MAX_BYTES:
            message = f"a result of {len(encoded)} bytes; {RESULT_MAX_BYTES} are allowed"
            raise ValueError(message)
    except Exception as error:
        log.exception("step_failed", step=step.name, brand=snapshot.brand)
        detail = f"{type(error).__name__}: {error}"
        return Insight(step.name, None, detail, time.perf_counter() - start)
    return Insight(step.name, orjson.loads(encoded), None, time.perf_counter() - start)
