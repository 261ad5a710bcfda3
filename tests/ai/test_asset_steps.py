"""Asset steps: each content once, batch by batch, whatever fails or is killed between."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from tests.support.file_features import facts
from tests.support.waiting import until_true
from triptych.ai.asset_step import AssetStep, Given, Picture
from triptych.ai.asset_step_run import AssetStepRun
from triptych.ai.phase import AiPhase, AssetSteps
from triptych.ai.pictures import Unreadable
from triptych.ai.step import Snapshot, Step, load_snapshot
from triptych.ai.steps.text.text import TEXT_IN_PICTURES
from triptych.errors import Unavailable
from triptych.features.feature_store import Feature, FeatureKind
from triptych.media.file_facts import FileFacts
from triptych.messages import AI_QUEUE, Delivery
from triptych.model import AiState, Insight, Run
from triptych.testing.memory_stores import MemoryStores, memory_stores
from triptych.testing.pictures import Picture as Row
from triptych.testing.pictures import commit_pictures

KIND = FeatureKind("number", 1)


def number_of(url: str) -> int:
    return int(url.rsplit("/", 1)[1])


def rows(*numbers: int) -> list[Row]:
    return [Row(f"https://x/{number}", body=b"%d" % number) for number in numbers]


def sha(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


@dataclass
class Pictures:
    """Pictures whose first pixel is the number that their content is."""

    unreadable: set[int] = field(default_factory=set)
    away: set[int] = field(default_factory=set)
    read: list[int] = field(default_factory=list)
    broken: bool = False

    async def __call__(self, sha256: bytes, side: int) -> Picture | None:
        number = next(number for number in range(1_000) if sha(number) == sha256)
        if self.broken:
            raise Unavailable("Decoders do not start here.")
        if number in self.unreadable:
            raise Unreadable("undecodable: broken")
        if number in self.away:
            return None
        self.read.append(number)
        return np.full((side, side, 3), number, np.uint8)

    async def facts(self, sha256: bytes) -> FileFacts | None:
        number = next(number for number in range(1_000) if sha(number) == sha256)
        return None if number in self.away else facts(creator=str(number))


@dataclass
class Model:
    """A model that tells a picture's number, and may fail."""

    fails: set[int] = field(default_factory=set)
    dies_after: int = 1_000
    calls: list[list[int]] = field(default_factory=list)

    def __call__(self, pictures: Sequence[Picture]) -> Sequence[Mapping[str, Any]]:
        numbers = [int(picture[0, 0, 0]) for picture in pictures]
        if numbers:
            if len(self.calls) >= self.dies_after:
                raise Killed
            self.calls.append(numbers)
        if self.fails & set(numbers):
            raise ArithmeticError("cannot")
        return [{"number": number} for number in numbers]

    @property
    def step(self) -> AssetStep:
        return AssetStep(KIND.name, KIND.version, 8, 10, self)

    @property
    def seen(self) -> list[int]:
        return sorted(number for call in self.calls for number in call)


class Killed(BaseException):
    """The process ends: nothing catches it."""


@dataclass
class Harness:
    stores: MemoryStores
    pictures: Pictures = field(default_factory=Pictures)
    model: Model = field(default_factory=Model)

    async def phase(self, run: Run, *steps: Step, deadline_s: float = 60.0) -> dict[str, Insight]:
        # A batch takes a second.
        assets = AssetSteps(
            [self.model.step],
            self.stores.features,
            self.pictures,
            deadline_s,
            clock=lambda: float(len(self.model.calls)),
        )
        phase = AiPhase(self.stores.ai, self.stores.snapshots, steps or [NUMBERS], assets=assets)
        await phase.process(run.brand, run.id)
        return {each.kind: each for each in await self.stores.snapshots.insights(run.id)}

    async def kept(self, *numbers: int) -> dict[bytes, Feature]:
        return dict(await self.stores.features.read(KIND, [sha(number) for number in numbers]))


def numbers(snapshot: Snapshot) -> dict[str, Any]:
    """Return what a brand-wide step sees."""
    features = snapshot.context.features
    outcome = features.outcome(KIND.name)
    assert outcome is not None
    found = dict(features.read(KIND.name))
    assert all(row in range(len(snapshot)) for row in found)
    return {
        "right": all(
            feature.error is not None
            or (feature.result or {})["number"] == number_of(snapshot.urls[row])
            for row, feature in found.items()
        ),
        "found": len(found),
        "errors": sum(feature.error is not None for feature in found.values()),
        "computed": outcome.computed,
        "failed": outcome.failed,
        "away": outcome.away,
        "waiting": outcome.waiting,
        "error": outcome.error,
    }


NUMBERS = Step("numbers", 1, numbers)


@pytest.fixture
def harness() -> Harness:
    return Harness(memory_stores())


def result(insights: Mapping[str, Insight]) -> Mapping[str, Any]:
    insight = insights["numbers"]
    assert insight.error is None
    assert insight.result is not None
    return insight.result


async def test_a_run_with_one_new_picture_of_a_hundred_calls_the_model_once(
    harness: Harness,
) -> None:
    first = await commit_pictures(harness.stores, rows(*range(99)))
    found = result(await harness.phase(first))
    assert (found["found"], found["computed"], found["right"]) == (99, 99, True)
    assert harness.model.seen == list(range(99))
    harness.model.calls.clear()
    second = await commit_pictures(harness.stores, rows(*range(100)))
    found = result(await harness.phase(second))
    assert harness.model.calls == [[99]]
    assert (found["found"], found["computed"], found["right"]) == (100, 1, True)


async def test_two_brands_with_the_same_picture_compute_it_once(harness: Harness) -> None:
    one = await commit_pictures(harness.stores, rows(1, 2), "one")
    other = await commit_pictures(harness.stores, rows(2, 3), "other")
    await harness.phase(one)
    found = result(await harness.phase(other))
    assert harness.model.seen == [1, 2, 3]
    assert (found["found"], found["computed"]) == (2, 1)


async def test_a_content_that_two_assets_have_is_computed_once(harness: Harness) -> None:
    twice = [Row(f"https://x/{number}", body=b"7") for number in range(3)]
    run = await commit_pictures(harness.stores, twice)
    found = result(await harness.phase(run))
    assert (harness.model.calls, found["found"]) == ([[7]], 3)


async def test_a_killed_phase_resumes_where_it_was(harness: Harness) -> None:
    run = await commit_pictures(harness.stores, rows(*range(35)))
    harness.model.dies_after = 2
    with pytest.raises(Killed):
        await harness.phase(run)
    before = harness.model.seen
    assert len(before) == 20
    assert len(await harness.kept(*range(35))) == 20
    harness.model.dies_after = 1_000
    found = result(await harness.phase(run))
    assert harness.model.seen == list(range(35)), "none of them twice"
    assert (found["found"], found["computed"]) == (35, 15)


async def test_what_there_is_no_time_for_is_continued_by_another_message(
    harness: Harness,
) -> None:
    run = await commit_pictures(harness.stores, rows(*range(30)))
    for owed in await harness.stores.runs.outbox_pending(run_id=run.id, older_s=0, limit=9):
        await harness.stores.runs.mark_sent([owed.id])
    found = result(await harness.phase(run, deadline_s=2.0))
    assert (found["computed"], found["waiting"]) == (20, 10)
    assert (await harness.stores.runs.run(run.id)).ai_state is AiState.QUEUED
    (owed,) = await harness.stores.runs.outbox_pending(run_id=run.id, older_s=0, limit=9)
    assert owed.queue == AI_QUEUE
    delivery = Delivery(AI_QUEUE, "1", "1", owed.message.body, owed.message.headers, 1)
    assets = AssetSteps([harness.model.step], harness.stores.features, harness.pictures)
    await AiPhase(harness.stores.ai, harness.stores.snapshots, [NUMBERS], assets=assets).handle(
        delivery
    )
    assert harness.model.seen == list(range(30)), "none of them twice"
    assert (await harness.stores.runs.run(run.id)).ai_state is AiState.DONE
    kinds = [e.kind for e in await harness.stores.runs.timeline(run.id, after=0, limit=99)]
    assert kinds[-5:] == ["ai_started", "ai_done", "ai_requested", "ai_started", "ai_done"]


async def test_unreadable_pictures_are_counted_and_not_tried_again(harness: Harness) -> None:
    harness.pictures.unreadable = {3}
    harness.model.fails = {5}
    run = await commit_pictures(harness.stores, rows(*range(8)))
    found = result(await harness.phase(run))
    assert (found["computed"], found["failed"], found["errors"]) == (6, 2, 2)
    kept = await harness.kept(3, 5)
    assert kept[sha(3)].error == "Unreadable: undecodable: broken"
    assert kept[sha(5)].error == "ArithmeticError: cannot"
    harness.model.calls.clear()
    again = await commit_pictures(harness.stores, rows(*range(8)))
    assert result(await harness.phase(again))["failed"] == 0
    assert harness.model.calls == []


async def test_pictures_that_are_away_are_tried_again(harness: Harness) -> None:
    harness.pictures.away = {1, 2}
    run = await commit_pictures(harness.stores, rows(0, 1, 2))
    found = result(await harness.phase(run))
    assert (found["computed"], found["away"], found["found"]) == (1, 2, 1)
    assert (await harness.stores.runs.run(run.id)).ai_state is AiState.DONE, "no endless turns"
    harness.pictures.away = set()
    again = await commit_pictures(harness.stores, rows(0, 1, 2))
    assert result(await harness.phase(again))["computed"] == 2


@pytest.mark.parametrize("where", ["model", "decoders"])
async def test_what_cannot_start_is_said_and_blames_no_picture(
    harness: Harness, where: str
) -> None:
    def unloadable(_: Sequence[Picture]) -> Sequence[Mapping[str, Any]]:
        raise OSError("no model")

    run = await commit_pictures(harness.stores, rows(0, 1))
    step = harness.model.step
    if where == "model":
        step = AssetStep(KIND.name, KIND.version, 8, 10, unloadable)
    harness.pictures.broken = where == "decoders"
    assets = AssetSteps([step], harness.stores.features, harness.pictures)
    phase = AiPhase(harness.stores.ai, harness.stores.snapshots, [NUMBERS], assets=assets)
    await phase.process(run.brand, run.id)
    (insight,) = await harness.stores.snapshots.insights(run.id)
    assert insight.result is not None
    assert (
        insight.result["error"]
        == {
            "model": "OSError: no model",
            "decoders": "Unavailable: Decoders do not start here.",
        }[where]
    )
    assert await harness.kept(0, 1) == {}
    assert (await harness.stores.runs.run(run.id)).ai_state is AiState.DONE


async def test_a_batch_that_never_ends_holds_up_only_itself(harness: Harness) -> None:
    hanging = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(pictures: Sequence[Picture]) -> Sequence[Mapping[str, Any]]:
        if any(picture[0, 0, 0] == 0 for picture in pictures):
            asyncio.run_coroutine_threadsafe(hanging.wait(), loop).result()
        return harness.model(pictures)

    run = await commit_pictures(harness.stores, rows(0, 1))
    snapshot = await load_snapshot(harness.stores.snapshots, run)
    step = AssetStep(KIND.name, KIND.version, 8, 1, hang)

    async def once() -> Any:
        work = AssetStepRun(step, harness.stores.features, harness.pictures, batch_deadline_s=0.05)
        return await work.run(snapshot, ends=float("inf"), progress=lambda _: None)

    outcomes = [await once(), await once()]
    hanging.set()
    kept = await harness.kept(0, 1)
    assert (kept[sha(0)].error or "").startswith("TimeoutError")
    assert kept[sha(1)].result == {"number": 1}
    assert [outcome.failed for outcome in outcomes] == [1, 0]
    assert (outcomes[0].error or "").startswith("TimeoutError")
    assert outcomes[1].error is None


async def test_a_model_that_is_never_ready_ends_the_step(harness: Harness) -> None:
    ready = asyncio.Event()
    loop = asyncio.get_running_loop()

    def load(pictures: Sequence[Picture]) -> Sequence[Mapping[str, Any]]:
        asyncio.run_coroutine_threadsafe(ready.wait(), loop).result()
        return harness.model(pictures)

    run = await commit_pictures(harness.stores, rows(0, 1))
    step = AssetStep(KIND.name, KIND.version, 8, 1, load)
    work = AssetStepRun(step, harness.stores.features, harness.pictures, batch_deadline_s=0.05)
    snapshot = await load_snapshot(harness.stores.snapshots, run)
    outcome = await work.run(snapshot, ends=float("inf"), progress=lambda _: None)
    ready.set()
    assert (outcome.error or "").startswith("TimeoutError")
    assert (outcome.waiting, outcome.to_be_continued) == (2, False)
    assert await harness.kept(0, 1) == {}


async def test_workers_at_the_same_time_are_harmless(harness: Harness) -> None:
    run = await commit_pictures(harness.stores, rows(*range(30)))
    snapshot = await load_snapshot(harness.stores.snapshots, run)
    works = [
        AssetStepRun(harness.model.step, harness.stores.features, harness.pictures)
        for _ in range(3)
    ]
    await asyncio.gather(
        *(work.run(snapshot, ends=float("inf"), progress=lambda _: None) for work in works)
    )
    kept = await harness.kept(*range(30))
    assert {(feature.result or {})["number"] for feature in kept.values()} == set(range(30))


async def test_progress_and_steps_are_counted_together(harness: Harness) -> None:
    run = await commit_pictures(harness.stores, rows(0))
    shown: list[Any] = []
    note = harness.stores.ai.note_ai

    async def noted(run_id: UUID, progress: Any) -> None:
        shown.append(progress)
        await note(run_id, progress)

    harness.stores.ai.note_ai = noted  # type: ignore[method-assign]

    class Slow(Pictures):
        async def __call__(self, sha256: bytes, side: int) -> Picture | None:
            await until_true(lambda: shown)
            return await super().__call__(sha256, side)

    harness.pictures = Slow()
    await harness.phase(run)
    assert {key: shown[0][key] for key in ("step", "number", "steps")} == {
        "step": "number",
        "number": 1,
        "steps": 2,
    }


@pytest.mark.parametrize(
    ("field_name", "value"),
    [("name", ""), ("version", 0), ("side", 0), ("side", 2_049), ("batch", 0), ("batch", 65)],
)
def test_an_asset_step_checks_its_fields(field_name: str, value: Any) -> None:
    fields: dict[str, Any] = {"name": "x", "version": 1, "side": 8, "batch": 1}
    with pytest.raises(ValueError, match=r"step"):
        AssetStep(**{**fields, field_name: value}, compute=lambda _: [])


async def test_without_ocr_the_insight_says_that_it_is_off(harness: Harness) -> None:
    run = await commit_pictures(harness.stores, rows(0))
    found = await harness.phase(run, TEXT_IN_PICTURES)
    assert found["text"].result is not None
    assert found["text"].result["on"] is False


async def test_a_step_may_be_given_what_files_show_instead_of_pictures() -> None:
    stores = memory_stores()
    run = await commit_pictures(stores, rows(1, 2, 3))
    step = AssetStep(
        "facts", 1, 1, 2, lambda of: [{"by": one.origin.creator} for one in of], given=Given.FACTS
    )
    snapshot = await load_snapshot(stores.snapshots, run)
    pictures = Pictures(away={3})
    work = AssetStepRun(step, stores.features, pictures)
    outcome = await work.run(snapshot, ends=float("inf"), progress=lambda _: None)
    assert (outcome.computed, outcome.away, pictures.read) == (2, 1, [])
    kept = await stores.features.read(step.kind, [sha(1), sha(2), sha(3)])
    assert {sha256: feature.result for sha256, feature in kept.items()} == {
        sha(1): {"by": "1"},
        sha(2): {"by": "2"},
    }
