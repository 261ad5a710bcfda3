"""Phase 3, AI: run every step over the committed snapshot and publish all results at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID

import structlog

from triptych.ai.ai_store import AiStore
from triptych.ai.asset_step import AssetStep
from triptych.ai.asset_step_run import AssetStepRun
from triptych.ai.context import (
    AssetStepOutcome,
    Context,
    Pixels,
    as_earlier,
    no_pixels,
    no_text,
)
from triptych.ai.other_brands import StoredOthers
from triptych.ai.pictures import PictureReader
from triptych.ai.step import Snapshot, Step, load_snapshot
from triptych.ai.step_results import Answer, merge_results, run_step
from triptych.ai.step_thread import in_thread
from triptych.ai.stored_features import StoredFeatures
from triptych.ai.vocabulary import Vocabulary, default_vocabulary
from triptych.embedders.text_encoder import TextEncoder
from triptych.errors import InvalidMessage, Unavailable
from triptych.features.feature_store import FeatureStore
from triptych.messages import AiBody, Delivery, Headers, parse_body
from triptych.model import Insight, Run
from triptych.snapshots.snapshot_store import SnapshotStore
from triptych.telemetry.metrics import STEP_SECONDS

STEP_DEADLINE_S = 1_800.0
"""Deadline of a step. A step that exceeds it is recorded as failed; its thread cannot be stopped
and runs until it returns or the process ends."""
ASSET_STEPS_DEADLINE_S = 600.0
"""Seconds of one phase for all asset steps. The brand-wide steps then run with the features that
there are, and a further message continues: so no insight waits for hours of reading text, and a
phase is done within the time of a Lambda function."""
PROGRESS_S = 0.5
"""Seconds between two progress updates of a phase."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AssetSteps:
    """The asset steps of a phase, and what they need."""

    steps: Sequence[AssetStep]
    features: FeatureStore
    pictures: PictureReader
    deadline_s: float = ASSET_STEPS_DEADLINE_S
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        if len({step.name for step in self.steps}) < len(self.steps):
            raise ValueError("Two asset steps have the same name.")


class AiPhase:
    """Handles messages of ``brand-ai-phase-queue``.

    First the asset steps compute what the snapshot's contents lack, each batch kept at once; then
    the brand-wide steps run. If the asset steps had no time for all, a further message is sent with
    the insights, in one transaction.

    Safe to repeat: the store hands out a run's AI phase only while it is due, and publishes
    a run's insights once, in one transaction, only while its snapshot is the brand's current one.
    If this ends early for any reason, including cancellation, nothing is published; features that
    were computed stay.

    Raises:
        ValueError: two steps have the same name.
    """

    def __init__(
        self,
        ai: AiStore,
        snapshots: SnapshotStore,
        steps: Sequence[Step],
        *,
        pixels: Callable[[Snapshot], Pixels] = lambda _: no_pixels,
        text: Callable[[], TextEncoder | None] = no_text,
        vocabulary: Callable[[], Vocabulary] = default_vocabulary,
        assets: AssetSteps | None = None,
        step_deadline_s: float = STEP_DEADLINE_S,
    ) -> None:
        if len({step.name for step in steps}) < len(steps):
            raise ValueError("Two AI steps have the same name.")
        self._ai = ai
        self._snapshots = snapshots
        self._steps = steps
        self._pixels = pixels
        self._text = text
        self._vocabulary = vocabulary
        self._assets = assets
        self._step_deadline_s = step_deadline_s
        self._names = [step.name for step in steps]
        if assets is not None:
            self._names = [*(step.name for step in assets.steps), *self._names]

    async def handle(self, delivery: Delivery) -> None:
        """Process the brand named in the body, and the run named in the headers, if any.

        Raises:
            InvalidMessage: the body or a header is invalid, or a brand without a snapshot is named
                without a run. The message becomes a dead letter.
            DatabaseUnavailable: the caller should retry.
        """
        body = parse_body(AiBody, delivery.body)
        await self.process(body.brand, Headers.decode(delivery.headers).run_id)

    async def process(self, brand: str, run_id: UUID | None) -> None:
        """Run all steps over a run's snapshot, or over the brand's current one, and publish.

        A step that fails is published as failed and does not stop the others. Nothing happens when
        the run's AI phase is done or its snapshot is no longer the current one.

        Raises:
            InvalidMessage: no run is named, and the brand has no snapshot.
            DatabaseUnavailable: nothing is published, or the outcome is unknown; the caller should
                retry.
        """
        begun = time.perf_counter()
        run = await self._ai.begin_ai(brand, run_id)
        if run is None and run_id is None:
            raise InvalidMessage(
                f"Brand {brand!r} does not exist, or has no snapshot yet.",
                field="brand",
                remedy="Check the name. A brand's first commit sends this message by itself.",
            )
        if run is None:
            log.info("ai_not_due", brand=brand, run=str(run_id) if run_id else None)
            return
        snapshot = await self._look(run)
        outcomes = await self._compute_features(snapshot)
        if self._assets is not None:
            features = StoredFeatures(self._assets.features, snapshot, outcomes)
            context = replace(snapshot.context, features=features)
            snapshot = replace(snapshot, context=context)
        unfinished = any(outcome.to_be_continued for _, outcome in outcomes.values())
        answers = [await self._measured(number, snapshot) for number in range(len(self._steps))]
        insights = [answer.insight for answer in answers]
        marks, vectors = merge_results(snapshot, answers)
        published = await self._ai.finish_ai(
            run.id, insights, marks=marks, vectors=vectors, unfinished=unfinished
        )
        log.info(
            "ai_done" if published else "ai_not_published",
            run=str(run.id),
            brand=brand,
            assets=len(snapshot),
            seconds=round(time.perf_counter() - begun, 3),
            unfinished=unfinished,
            failed=[insight.kind for insight in insights if insight.error is not None],
        )

    async def _look(self, run: Run) -> Snapshot:
        """Load the snapshot and its context."""
        published = await self._ai.earlier_ai(run.id)
        snapshot = await load_snapshot(self._snapshots, run)
        context = Context(
            earlier=None if published is None else as_earlier(published),
            pixels=self._pixels(snapshot),
            others=StoredOthers(self._ai, self._snapshots, snapshot),
            text=self._text,
            vocabulary=self._vocabulary,
        )
        return replace(snapshot, context=context)

    async def _compute_features(
        self, snapshot: Snapshot
    ) -> dict[str, tuple[AssetStep, AssetStepOutcome]]:
        """Run the asset steps one after the other, and return what each has done.

        Raises:
            DatabaseUnavailable: what was kept so far stays kept.
        """
        outcomes: dict[str, tuple[AssetStep, AssetStepOutcome]] = {}
        if self._assets is None:
            return outcomes
        assets = self._assets
        ends = assets.clock() + assets.deadline_s
        for number, step in enumerate(assets.steps):
            begun = time.perf_counter()
            work = AssetStepRun(step, assets.features, assets.pictures, clock=assets.clock)
            async with self._reported(snapshot.run_id, number) as progress:
                outcome = await work.run(snapshot, ends=ends, progress=progress)
            kind = "done" if outcome.error is None else "failed"
            STEP_SECONDS.labels(f"{step.name} of pictures", kind).observe(
                time.perf_counter() - begun
            )
            outcomes[step.name] = (step, outcome)
        return outcomes

    async def _measured(self, number: int, snapshot: Snapshot) -> Answer:
        begun = time.perf_counter()
        answer = await self._take(number, snapshot)
        outcome = "done" if answer.insight.error is None else "failed"
        seconds = STEP_SECONDS.labels(self._steps[number].name, outcome)
        seconds.observe(time.perf_counter() - begun)
        return answer

    async def _take(self, number: int, snapshot: Snapshot) -> Answer:
        """Run one step in its own thread. Never raises, except when cancelled."""
        step = self._steps[number]
        place = len(self._names) - len(self._steps) + number
        async with self._reported(snapshot.run_id, place) as progress:
            seen = replace(snapshot, context=replace(snapshot.context, progress=progress))
            try:
                async with asyncio.timeout(self._step_deadline_s):
                    return await in_thread(lambda: run_step(step, seen), name=f"ai-{step.name}")
            except TimeoutError:
                error = f"TimeoutError: not done after {self._step_deadline_s:g} s"
                log.error("ai_step_failed", step=step.name, run=str(snapshot.run_id), error=error)
                return Answer(Insight(step.name, None, error, self._step_deadline_s), {})

    @asynccontextmanager
    async def _reported(self, run_id: UUID, number: int) -> AsyncIterator[Callable[[float], None]]:
        """Yield what a step reports its share of work to, from any thread, as often as it likes.

        The database sees one update a period.
        """
        share = 0.0

        def progress(done: float) -> None:
            nonlocal share
            share = min(max(float(done), 0.0), 1.0)

        async def report() -> None:
            reported: float | None = None
            while True:
                if share != reported:
                    reported = share
                    await self._note(run_id, number, share)
                await asyncio.sleep(PROGRESS_S)

        reporting = asyncio.create_task(report())
        try:
            yield progress
        finally:
            reporting.cancel()
            await asyncio.wait([reporting])

    async def _note(self, run_id: UUID, number: int, share: float) -> None:
        progress = {
            "step": self._names[number],
            "number": number + 1,
            "steps": len(self._names),
            "share": round(share, 2),
        }
        try:
            await self._ai.note_ai(run_id, progress)
        except Unavailable as error:
            log.info("ai_progress_lost", run=str(run_id), error=str(error))
