"""Runs an asset step over the contents of a snapshot that have no feature of it yet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import structlog

from triptych.ai.asset_step import AssetStep, Given
from triptych.ai.context import AssetStepOutcome
from triptych.ai.pictures import PictureReader, Unreadable
from triptych.ai.step import SHA256_BYTES, Snapshot
from triptych.ai.step_results import error_text
from triptych.ai.step_thread import in_thread
from triptych.errors import Unavailable
from triptych.features.feature_store import Feature, FeatureStore, check_features

CONTENTS_PAGE = 1_000
"""Contents whose features are asked for at a time."""
BATCH_DEADLINE_S = 300.0
"""Seconds for computing one batch. After it, its pictures are recorded as failed, so that they do
not hold up the others in the next phase; the thread runs until it returns or the process ends."""

log = structlog.get_logger(__name__)


class AssetStepRun:
    """One asset step over one snapshot.

    Each batch is kept before the next is begun, so one that is killed is gone on with by the next.
    Several at a time are harmless: the first result of a content stays. Memory is that of one
    batch of pictures, and of the SHA-256 of the snapshot's contents.
    """

    def __init__(
        self,
        step: AssetStep,
        features: FeatureStore,
        pictures: PictureReader,
        *,
        batch_deadline_s: float = BATCH_DEADLINE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._step = step
        self._features = features
        self._pictures = pictures
        self._batch_deadline_s = batch_deadline_s
        self._clock = clock
        self._computed = self._failed = self._away = 0

    async def run(
        self, snapshot: Snapshot, *, ends: float, progress: Callable[[float], None]
    ) -> AssetStepOutcome:
        """Compute what is missing until the clock says ``ends``; begin no batch after it.

        Never raises for the step or for a picture.

        Raises:
            DatabaseUnavailable: what was kept so far stays kept.
        """
        missing = [each async for each in self._missing(snapshot)]
        error: str | None = None
        at = 0
        try:
            if missing:
                await self._load()
            for at in range(0, len(missing), self._step.batch):
                progress(at / len(missing))
                if self._clock() >= ends:
                    break
                await self._batch(missing[at : at + self._step.batch])
            else:
                at = len(missing)
        except _Broken as broken:
            error = str(broken)
            log.error("asset_step_failed", step=self._step.name, brand=snapshot.brand, error=error)
        outcome = AssetStepOutcome(
            self._computed, self._failed, self._away, max(0, len(missing) - at), error
        )
        log.info(
            "asset_step_done",
            step=self._step.name,
            brand=snapshot.brand,
            contents_missing=len(missing),
            computed=outcome.computed,
            failed=outcome.failed,
            away=outcome.away,
            waiting=outcome.waiting,
        )
        return outcome

    async def _load(self) -> None:
        """Let the step load its model.

        Raises:
            _Broken: it cannot, or it took longer than the deadline of a batch: what still computes
                a batch that was given up may keep others waiting.
        """
        try:
            async with asyncio.timeout(self._batch_deadline_s):
                await self._compute([])
        except TimeoutError as error:
            text = f"TimeoutError: the step was not ready after {self._batch_deadline_s:g} s"
            raise _Broken(text) from error

    async def _missing(self, snapshot: Snapshot) -> AsyncIterator[bytes]:
        """Yield the contents without a feature, each once, in the order of the snapshot."""
        whole = snapshot.sha256.tobytes()
        each = (whole[at : at + SHA256_BYTES] for at in range(0, len(whole), SHA256_BYTES))
        contents = list(dict.fromkeys(each))
        for at in range(0, len(contents), CONTENTS_PAGE):
            page = contents[at : at + CONTENTS_PAGE]
            for sha256 in await self._features.missing(self._step.kind, page):
                yield sha256

    async def _batch(self, contents: Sequence[bytes]) -> None:
        """Compute and keep the features of some contents.

        Raises:
            _Broken: the step cannot go on.
        """
        # Another worker may have kept some in the meantime.
        contents = await self._features.missing(self._step.kind, contents)
        pictures: dict[bytes, Any] = {}
        found: list[Feature] = []
        for sha256 in contents:
            try:
                picture = await self._given(sha256)
            except Unreadable as error:
                found.append(Feature(sha256, None, error_text(error)))
            except Unavailable as error:
                raise _Broken(error_text(error)) from error
            else:
                if picture is None:
                    self._away += 1
                else:
                    pictures[sha256] = picture
        late: _Broken | None = None
        try:
            found += await self._results(pictures)
        except TimeoutError:
            text = f"TimeoutError: a batch was not done after {self._batch_deadline_s:g} s"
            found += [Feature(sha256, None, text) for sha256 in pictures]
            late = _Broken(text)
        await self._features.put(self._step.kind, found)
        for feature in found:
            if feature.error is None:
                self._computed += 1
            else:
                self._failed += 1
                log.warning("picture_failed", step=self._step.name, error=feature.error)
        if late is not None:
            raise late

    async def _given(self, sha256: bytes) -> Any:
        """Return what the step is given of a content; None if it is away for now."""
        if self._step.given is Given.FACTS:
            return await self._pictures.facts(sha256)
        return await self._pictures(sha256, self._step.side)

    async def _results(self, pictures: Mapping[bytes, Any]) -> list[Feature]:
        """Compute pictures together, or one by one if they fail together.

        Raises:
            TimeoutError: they took longer than the deadline of a batch.
        """
        async with asyncio.timeout(self._batch_deadline_s):
            try:
                return await self._computed_together(pictures)
            except _Broken as error:
                if len(pictures) == 1:
                    return [Feature(sha256, None, str(error)) for sha256 in pictures]
            found: list[Feature] = []
            for sha256, picture in pictures.items():
                try:
                    found += await self._computed_together({sha256: picture})
                except _Broken as error:
                    found.append(Feature(sha256, None, str(error)))
            return found

    async def _computed_together(self, pictures: Mapping[bytes, Any]) -> list[Feature]:
        results = await self._compute(list(pictures.values())) if pictures else []
        found = [Feature(sha256, result) for sha256, result in zip(pictures, results, strict=True)]
        try:
            check_features(found)
        except (TypeError, ValueError) as error:
            raise _Broken(error_text(error)) from error
        return found

    async def _compute(self, pictures: Sequence[Any]) -> Sequence[Mapping[str, Any]]:
        """Call the step.

        Raises:
            _Broken: it raised, or returned another number of results.
        """

        def work() -> Sequence[Mapping[str, Any]]:
            try:
                results = self._step.compute(pictures)
            except (Exception, SystemExit) as error:  # Isolates the failure of a step.
                raise _Broken(error_text(error)) from error
            if len(results) != len(pictures):
                raise _Broken(f"{len(results)} results for {len(pictures)} pictures")
            return results

        return await in_thread(work, name=f"ai-{self._step.name}")


class _Broken(Exception):
    """A step failed; the text says why."""
