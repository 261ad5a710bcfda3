"""The AI phase: all results or none, each failing step by itself. Its database: integration."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from tests.support.snapshots import asset, committed_run
from tests.support.waiting import until_true
from triptych.ai import step_results as answers
from triptych.ai.ai_store import AssetVectors, Marks, Published
from triptych.ai.context import StepResult, Vectors
from triptych.ai.phase import AiPhase
from triptych.ai.step import Snapshot, Step
from triptych.ai.steps.clusters.clusters import CLUSTERS
from triptych.ai.steps.duplicates.duplicates import DUPLICATES
from triptych.errors import DatabaseUnavailable, InvalidMessage
from triptych.messages import AI_QUEUE, Delivery, Headers
from triptych.model import Asset, Insight, Metadata, Run

PATIENCE_S = 30.0


class FakeStores:
    """The methods of the port that the phase calls, on one committed run."""

    def __init__(self, assets: int = 3) -> None:
        self.due: Run | None = committed_run(added=assets)
        self.run_id = self.due.id
        self.begun: list[tuple[str, UUID | None]] = []
        self.published: list[Sequence[Insight]] = []
        self.earlier: Published | None = None
        self.notes: list[Metadata] = []
        self.away = False
        self.assets = [asset(self.run_id, number) for number in range(assets)]

    async def begin_ai(self, brand: str, run_id: UUID | None) -> Run | None:
        self.begun.append((brand, run_id))
        return self.due

    async def stream_assets(self, run_id: UUID, *, batch: int) -> AsyncIterator[list[Asset]]:
        yield self.assets

    async def earlier_ai(self, run_id: UUID) -> Published | None:
        return self.earlier

    async def note_ai(self, run_id: UUID, progress: Metadata) -> None:
        if self.away:
            raise DatabaseUnavailable
        self.notes.append(progress)

    async def finish_ai(
        self,
        run_id: UUID,
        insights: Sequence[Insight],
        *,
        marks: Marks,
        vectors: Sequence[AssetVectors],
    ) -> bool:
        if self.away:
            raise DatabaseUnavailable
        self.published.append(insights)
        self.marks, self.vectors = marks, vectors
        return True


def returning(result: Any, name: str = "step") -> Step:
    return Step(name, 2, lambda _: result)


def raising(error: BaseException, name: str = "step") -> Step:
    def run(_: Snapshot) -> dict[str, Any]:
        raise error

    return Step(name, 1, run)


async def processed(*steps: Step, **options: Any) -> dict[str, Insight]:
    stores = FakeStores()
    await AiPhase(stores, stores, steps, **options).process("nike", None)  # type: ignore[arg-type]
    (insights,) = stores.published
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
        (Unspeakable(), "Unspeakable: its message cannot be had (RuntimeError)"),
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
    stores = FakeStores()
    stores.due = None
    phase = AiPhase(stores, stores, [raising(AssertionError())])  # type: ignore[arg-type]
    await phase.process("nike", stores.run_id)
    assert stores.published == []


async def test_a_message_names_brand_and_run() -> None:
    stores = FakeStores()
    phase = AiPhase(stores, stores, [])  # type: ignore[arg-type]
    headers = Headers(run_id=stores.run_id).encode()
    for sent in (headers, {}):
        await phase.handle(Delivery(AI_QUEUE, "1", "r", {"brand": "nike"}, sent, 1))
    assert stores.begun == [("nike", stores.run_id), ("nike", None)]
    with pytest.raises(InvalidMessage):
        await phase.handle(Delivery(AI_QUEUE, "1", "r", {"brand": "nike", "x": 1}, {}, 1))


async def test_an_unavailable_database_is_the_messages_problem() -> None:
    stores = FakeStores()
    stores.away = True
    with pytest.raises(DatabaseUnavailable):
        await AiPhase(stores, stores, [returning({})]).process("nike", None)  # type: ignore[arg-type]


def test_two_steps_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        AiPhase(FakeStores(), FakeStores(), [returning({}), returning({})])  # type: ignore[arg-type]


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
    stores, blocking = FakeStores(), Blocking()
    steps = [returning({}), blocking.step]
    task = asyncio.create_task(AiPhase(stores, stores, steps).process("nike", None))  # type: ignore[arg-type]
    await until(blocking.begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    blocking.go_on.set()
    await until(blocking.ended.wait)
    assert stores.published == []


async def test_a_step_that_takes_too_long_is_recorded_and_loses_no_other() -> None:
    blocking = Blocking()
    found = await processed(blocking.step, returning({}, "next"), step_deadline_s=0.05)
    blocking.go_on.set()
    assert found["blocking"].error == "TimeoutError: not done after 0.05 s"
    assert found["next"].error is None


def marking(**marks: Any) -> Step:
    return Step("marking", 1, lambda _: StepResult({}, marks))


async def marked(*steps: Step) -> tuple[FakeStores, dict[str, str | None]]:
    stores = FakeStores()
    await AiPhase(stores, stores, steps).process("nike", None)  # type: ignore[arg-type]
    return stores, {insight.kind: insight.error for insight in stores.published[0]}


async def test_marks_and_vectors_of_all_steps_are_published_together() -> None:
    space = Vectors("space", np.array([0, 2]), np.eye(2, 4, dtype=np.float16))
    vectors = Step("vectors", 1, lambda _: StepResult({"a": 1}, {}, space))
    marks = marking(tags=[["shoe"], None, []], x=np.array([0.5, 1, 2]), mine=[{"a": 1}, None, 2])
    stores, errors = await marked(marks, vectors, returning({}))
    assert set(errors.values()) == {None}
    assert stores.marks.values == {
        "tags": [["shoe"], None, []],
        "x": [0.5, 1.0, 2.0],
        "mine": [{"a": 1}, None, 2],
    }
    (published,) = stores.vectors
    assert published.keys.tolist() == stores.marks.keys[[0, 2]].tolist()


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
    stores, errors = await marked(marking(**marks), returning({}))
    assert errors == {"marking": problem, "step": None}
    assert stores.marks.values == {}


async def test_vectors_of_other_assets_fail_their_step() -> None:
    space = Vectors("space", np.array([0, 3]), np.eye(2, 4, dtype=np.float16))
    _, errors = await marked(Step("vectors", 1, lambda _: StepResult({}, {}, space)))
    assert str(errors["vectors"]).startswith("ValueError: vectors are (m, d) finite numbers")


async def test_a_step_sees_what_was_published_before() -> None:
    stores = FakeStores()
    keys = np.array([list(stores.assets[1].key), [0] * 16], np.uint8)
    stores.earlier = Published(
        uuid4(),
        [Insight("look", {"answer": 41}), Insight("broken", None, "boom")],
        Marks(keys, {"cluster": ["c1", "c2"]}),
    )
    seen: dict[str, Any] = {}

    def look(snapshot: Snapshot) -> dict[str, Any]:
        earlier = snapshot.context.earlier
        assert earlier is not None
        seen.update(results=earlier.results, rows=earlier.rows_of(snapshot.keys).tolist())
        return {}

    await AiPhase(stores, stores, [Step("look", 1, look)]).process("nike", None)  # type: ignore[arg-type]
    assert seen == {"results": {"look": {"answer": 41}}, "rows": [-1, 0, -1]}


async def test_progress_is_told_and_losing_it_costs_nothing() -> None:
    stores, blocking = FakeStores(), Blocking()

    def work(snapshot: Snapshot) -> dict[str, Any]:
        snapshot.context.progress(7.0)
        return dict(blocking.step.run(snapshot))  # type: ignore[arg-type]

    steps = [returning({}), Step("work", 1, work)]
    task = asyncio.create_task(AiPhase(stores, stores, steps).process("nike", None))  # type: ignore[arg-type]
    await until_true(lambda: any(note["share"] == 1.0 for note in stores.notes))
    assert stores.notes[-1] == {"step": "work", "number": 2, "steps": 2, "share": 1.0}
    blocking.go_on.set()
    await task
    assert len(stores.published) == 1


HANGING = """
import asyncio, threading
from triptych.ai.phase import in_thread

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
