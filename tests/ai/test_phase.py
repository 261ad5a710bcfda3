"""The AI phase: all results or none, each failing step by itself. Its database: integration."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from typing_extensions import override

from tests.support.waiting import until_true
from triptych.ai import step_results as answers
from triptych.ai.ai_store import AssetVectors, Marks
from triptych.ai.context import StepResult, Vectors
from triptych.ai.phase import AiPhase
from triptych.ai.step import Snapshot, Step
from triptych.ai.steps.clusters.clusters import CLUSTERS
from triptych.ai.steps.duplicates.duplicates import DUPLICATES
from triptych.errors import DatabaseUnavailable, InvalidMessage
from triptych.messages import AI_QUEUE, Delivery, Headers
from triptych.model import Insight, Metadata, Run
from triptych.testing.memory_ai import MemoryAiStore
from triptych.testing.memory_state import MemoryState
from triptych.testing.memory_stores import MemoryStores, memory_stores
from triptych.testing.pictures import Picture, commit_pictures

PATIENCE_S = 30.0


class RecordingAi(MemoryAiStore):
    """Keeps what the phase asks for, and may be away."""

    def __init__(self, state: MemoryState) -> None:
        super().__init__(state)
        self.begun: list[tuple[str, UUID | None]] = []
        self.published: list[Sequence[Insight]] = []
        self.notes: list[Metadata] = []
        self.away = False

    @override
    async def begin_ai(self, brand: str, run_id: UUID | None) -> Run | None:
        self.begun.append((brand, run_id))
        return await super().begin_ai(brand, run_id)

    @override
    async def note_ai(self, run_id: UUID, progress: Metadata) -> None:
        if self.away:
            raise DatabaseUnavailable
        self.notes.append(progress)
        await super().note_ai(run_id, progress)

    @override
    async def finish_ai(
        self,
        run_id: UUID,
        insights: Sequence[Insight],
        *,
        marks: Marks | None = None,
        vectors: Sequence[AssetVectors] = (),
        unfinished: bool = False,
    ) -> bool:
        if self.away:
            raise DatabaseUnavailable
        assert marks is not None
        self.published.append(insights)
        self.marks, self.vectors = marks, vectors
        return await super().finish_ai(
            run_id, insights, marks=marks, vectors=vectors, unfinished=unfinished
        )


@dataclass(frozen=True)
class Committed:
    """Stores in memory with one committed run of the brand nike."""

    stores: MemoryStores
    ai: RecordingAi
    run_id: UUID

    def phase(self, *steps: Step, **options: Any) -> AiPhase:
        return AiPhase(self.ai, self.stores.snapshots, steps, **options)


PICTURES = [Picture(f"https://x/{number}", phash=-number) for number in range(3)]


async def committed() -> Committed:
    state = MemoryState()
    stores = memory_stores(state)
    run = await commit_pictures(stores, PICTURES, "nike")
    return Committed(stores, RecordingAi(state), run.id)


def returning(result: Any, name: str = "step") -> Step:
    return Step(name, 2, lambda _: result)


def raising(error: BaseException, name: str = "step") -> Step:
    def run(_: Snapshot) -> dict[str, Any]:
        raise error

    return Step(name, 1, run)


async def processed(*steps: Step, **options: Any) -> dict[str, Insight]:
    nike = await committed()
    await nike.phase(*steps, **options).process("nike", None)
    (insights,) = nike.ai.published
    return {insight.kind: insight for insight in insights}


async def test_all_results_are_published_together() -> None:
    found = await processed(DUPLICATES, CLUSTERS, returning({"answer": [1, 2.5, None, "ü", True]}))
    assert found["step"].result == {
        "version": 2,
        "assets": 3,
        "sampled": False,
        "answer": [1, 2.5, None, "ü", True],
    }
    assert list(found) == ["duplicates", "clusters", "step"]
    assert all(insight.error is None and insight.seconds > 0 for insight in found.values())
    json.dumps([dict(insight.result or {}) for insight in found.values()], allow_nan=False)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("colour"), "KeyError: 'colour'"),
        (MemoryError(), "MemoryError: "),
        (SystemExit(3), "SystemExit: 3"),
        (ValueError("a\x00b\ud800"), "ValueError: a\ufffdb?"),
        (Unspeakable(), "Unspeakable: its message cannot be read (RuntimeError)"),
        (ValueError("x" * 5000), "ValueError: " + "x" * (answers.ERROR_MAX_CHARS - 12)),
    ],
)
async def test_a_failing_step_is_recorded_and_loses_no_other(
    error: BaseException, text: str
) -> None:
    found = await processed(raising(error, "first"), returning({"a": 1}, "second"))
    assert (found["first"].result, found["first"].error) == (None, text)
    assert found["second"].result is not None
    assert found["second"].result["a"] == 1


def nested(depth: int) -> dict[str, Any]:
    return {"deeper": nested(depth - 1)} if depth else {}


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (None, "the result is of NoneType, not a JSON object"),
        ([1], "the result is of list, not a JSON object"),
        ({"score": float("nan")}, "result.score is nan"),
        ({"a": [{"b": float("-inf")}]}, "result.a[0].b is -inf"),
        ({"a": ("x\x00",)}, "result.a[0] holds a NUL character"),
        ({"a\x00": 1}, "a key of result holds a NUL character"),
        ({1: "a"}, "result has the key 1, which is not text"),
        ({"a": {1, 2}}, "result.a is of set, which JSON does not have"),
        ({"a": b"x"}, "result.a is of bytes"),
        ({"a": uuid4()}, "result.a is of UUID"),
        ({"a": np.float32(1)}, "result.a is of float32"),
        ({"a": np.float64(1)}, "numpy.float64"),
        ({"a": np.arange(3)}, "result.a is of ndarray"),
        ({"a": 2**70}, "64-bit"),
        ({"a": "\ud800"}, "surrogates"),
        ({"version": 1}, "the result has version, which Triptych adds"),
        (nested(64), "more than 64 levels deep"),
        ({"a": "x" * 2000}, "bytes of JSON; 1000 are allowed"),
    ],
)
async def test_a_result_that_is_not_json_is_the_steps_failure(
    result: Any, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "RESULT_MAX_BYTES", 1000)
    found = await processed(returning(result))
    assert found["step"].result is None
    assert problem in (found["step"].error or "")


async def test_a_result_that_contains_itself_is_the_steps_failure() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    found = await processed(returning(endless))
    assert "levels deep" in (found["step"].error or "")


async def test_nothing_happens_when_the_phase_is_not_due() -> None:
    nike = await committed()
    await commit_pictures(nike.stores, PICTURES, "nike")
    await nike.phase(raising(AssertionError())).process("nike", nike.run_id)
    assert nike.ai.published == []


async def test_a_message_names_brand_and_run() -> None:
    nike = await committed()
    phase = nike.phase()
    headers = Headers(run_id=nike.run_id).encode()
    for sent in (headers, {}):
        await phase.handle(Delivery(AI_QUEUE, "1", "r", {"brand": "nike"}, sent, 1))
    assert nike.ai.begun == [("nike", nike.run_id), ("nike", None)]
    with pytest.raises(InvalidMessage):
        await phase.handle(Delivery(AI_QUEUE, "1", "r", {"brand": "nike", "x": 1}, {}, 1))


async def test_an_unavailable_database_is_the_messages_problem() -> None:
    nike = await committed()
    nike.ai.away = True
    with pytest.raises(DatabaseUnavailable):
        await nike.phase(returning({})).process("nike", None)


def test_two_steps_of_one_name_are_refused() -> None:
    stores = memory_stores()
    with pytest.raises(ValueError, match="same name"):
        AiPhase(stores.ai, stores.snapshots, [returning({}), returning({})])


class Blocking:
    """A step that goes on when it is told to."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.ended = threading.Event()
        self.step = Step("blocking", 1, self._run)

    def _run(self, _: Snapshot) -> dict[str, Any]:
        self.begun.set()
        went_on = self.go_on.wait(PATIENCE_S)
        self.ended.set()
        return {"went_on": went_on}


async def until(condition: Callable[[float], bool]) -> None:
    assert await asyncio.to_thread(condition, PATIENCE_S)


async def test_the_event_loop_goes_on_while_a_step_works() -> None:
    blocking = Blocking()
    task = asyncio.create_task(processed(blocking.step))
    await until(blocking.begun.wait)
    blocking.go_on.set()  # By this loop: it was not blocked.
    found = await task
    assert found["blocking"].result is not None
    assert found["blocking"].result["went_on"] is True


async def test_g4_a_cancelled_phase_publishes_nothing() -> None:
    nike, blocking = await committed(), Blocking()
    phase = nike.phase(returning({}), blocking.step)
    task = asyncio.create_task(phase.process("nike", None))
    await until(blocking.begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    blocking.go_on.set()
    await until(blocking.ended.wait)
    assert nike.ai.published == []


async def test_a_step_that_takes_too_long_is_recorded_and_loses_no_other() -> None:
    blocking = Blocking()
    found = await processed(blocking.step, returning({}, "next"), step_deadline_s=0.05)
    blocking.go_on.set()
    assert found["blocking"].error == "TimeoutError: not done after 0.05 s"
    assert found["next"].error is None


def marking(**marks: Any) -> Step:
    return Step("marking", 1, lambda _: StepResult({}, marks))


async def marked(*steps: Step) -> tuple[RecordingAi, dict[str, str | None]]:
    nike = await committed()
    await nike.phase(*steps).process("nike", None)
    return nike.ai, {insight.kind: insight.error for insight in nike.ai.published[0]}


async def test_marks_and_vectors_of_all_steps_are_published_together() -> None:
    space = Vectors("space", np.array([0, 2]), np.eye(2, 4, dtype=np.float16))
    vectors = Step("vectors", 1, lambda _: StepResult({"a": 1}, {}, space))
    marks = marking(tags=[["shoe"], None, []], x=np.array([0.5, 1, 2]), mine=[{"a": 1}, None, 2])
    ai, errors = await marked(marks, vectors, returning({}))
    assert set(errors.values()) == {None}
    assert ai.marks.values == {
        "tags": [["shoe"], None, []],
        "x": [0.5, 1.0, 2.0],
        "mine": [{"a": 1}, None, 2],
    }
    (published,) = ai.vectors
    assert published.keys.tolist() == ai.marks.keys[[0, 2]].tolist()


@pytest.mark.parametrize(
    ("marks", "problem"),
    [
        ({"cluster": ["a"]}, "ValueError: mark 'cluster' has 1 values for 3 assets"),
        ({"cluster": [1, None, "a"]}, "TypeError: mark 'cluster' holds int, not str"),
        ({"x": [0.5, math.nan, 0.5]}, "ValueError: mark 'x' is nan, which JSON does not have"),
        ({"tags": ["shoe", None, None]}, "TypeError: tags are lists of at most 50 texts"),
        ({"tags": [[1], None, None]}, "TypeError: a tag is of int, not text"),
        ({"tags": [["a\x00"], None, None]}, "ValueError: a tag holds a NUL character"),
        ({"look": ["x" * 201, "", ""]}, "ValueError: a mark has 201 characters; 200 are allowed"),
        ({"mine": [{1: 2}, None, None]}, "TypeError: result.mark has the key 1, which is not text"),
    ],
)
async def test_marks_that_cannot_be_kept_fail_their_step(
    marks: dict[str, Any], problem: str
) -> None:
    ai, errors = await marked(marking(**marks), returning({}))
    assert errors == {"marking": problem, "step": None}
    assert ai.marks.values == {}


async def test_vectors_of_other_assets_fail_their_step() -> None:
    space = Vectors("space", np.array([0, 3]), np.eye(2, 4, dtype=np.float16))
    _, errors = await marked(Step("vectors", 1, lambda _: StepResult({}, {}, space)))
    assert str(errors["vectors"]).startswith("ValueError: vectors are (m, d) finite numbers")


async def test_a_step_sees_what_was_published_before() -> None:
    nike = await committed()
    keys = np.array([[0] * 16, list(PICTURES[1].key)], np.uint8)
    await nike.stores.ai.begin_ai("nike", None)
    await nike.stores.ai.finish_ai(
        nike.run_id,
        [Insight("look", {"answer": 41}), Insight("broken", None, "boom")],
        marks=Marks(keys, {"cluster": ["c1", "c2"]}),
    )
    await commit_pictures(nike.stores, PICTURES, "nike")
    seen: dict[str, Any] = {}

    def look(snapshot: Snapshot) -> dict[str, Any]:
        earlier = snapshot.context.earlier
        assert earlier is not None
        rows = dict(zip(snapshot.urls, earlier.rows_of(snapshot.keys).tolist(), strict=True))
        seen.update(results=earlier.results, rows=rows)
        return {}

    await nike.phase(Step("look", 1, look)).process("nike", None)
    rows = {"https://x/0": -1, "https://x/1": 1, "https://x/2": -1}
    assert seen == {"results": {"look": {"answer": 41}}, "rows": rows}


async def test_progress_is_told_and_losing_it_costs_nothing() -> None:
    nike, blocking = await committed(), Blocking()

    def work(snapshot: Snapshot) -> dict[str, Any]:
        snapshot.context.progress(7.0)
        return dict(blocking.step.run(snapshot))  # type: ignore[arg-type]

    steps = [returning({}), Step("work", 1, work)]
    task = asyncio.create_task(nike.phase(*steps).process("nike", None))
    await until_true(lambda: any(note["share"] == 1.0 for note in nike.ai.notes))
    assert nike.ai.notes[-1] == {"step": "work", "number": 2, "steps": 2, "share": 1.0}
    blocking.go_on.set()
    await task
    assert len(nike.ai.published) == 1


HANGING = """
import asyncio, threading
from triptych.ai.step_thread import in_thread

async def main():
    begun = threading.Event()
    def hang():
        begun.set()
        threading.Event().wait()
    task = asyncio.create_task(in_thread(hang, name="hanging"))
    await asyncio.to_thread(begun.wait)
    task.cancel()

asyncio.run(main())
print("stopped")
"""


@pytest.mark.integration
def test_a_hanging_step_keeps_no_process_alive() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("stopped\n", 0), done.stderr
