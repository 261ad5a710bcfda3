"""The AI phase: all results or none, each failing step by itself. Its database: integration."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from tests.unit.snapshots import asset, committed_run
from triptych.errors import DatabaseUnavailable, InvalidMessage
from triptych.insights.clusters import CLUSTERS
from triptych.insights.duplicates import DUPLICATES
from triptych.insights.step import Snapshot, Step
from triptych.messages import AI_QUEUE, Delivery, Headers
from triptych.model import Asset, Insight, Run
from triptych.phases import ai
from triptych.phases.ai import AiPhase

PATIENCE_S = 30.0


class Catalogue:
    """The three methods of the port that the phase calls, on one committed run."""

    def __init__(self, assets: int = 3) -> None:
        self.due: Run | None = committed_run(added=assets)
        self.run_id = self.due.id
        self.begun: list[tuple[str, UUID | None]] = []
        self.published: list[Sequence[Insight]] = []
        self.away = False
        self._assets = [asset(self.run_id, number) for number in range(assets)]

    async def begin_ai(self, brand: str, run_id: UUID | None) -> Run | None:
        self.begun.append((brand, run_id))
        return self.due

    async def stream_assets(self, run_id: UUID, *, batch: int) -> AsyncIterator[list[Asset]]:
        yield self._assets

    async def finish_ai(self, run_id: UUID, insights: Sequence[Insight]) -> bool:
        if self.away:
            raise DatabaseUnavailable
        self.published.append(insights)
        return True


def returning(result: Any, name: str = "step") -> Step:
    return Step(name, 2, lambda _: result)


def raising(error: BaseException, name: str = "step") -> Step:
    def run(_: Snapshot) -> dict[str, Any]:
        raise error

    return Step(name, 1, run)


async def processed(*steps: Step, **options: Any) -> dict[str, Insight]:
    catalogue = Catalogue()
    await AiPhase(catalogue, steps, **options).process("nike", None)  # type: ignore[arg-type]
    (insights,) = catalogue.published
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
        (ValueError("x" * 5000), "ValueError: " + "x" * (ai.ERROR_MAX_CHARS - 12)),
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
    monkeypatch.setattr(ai, "RESULT_MAX_BYTES", 1000)
    found = await processed(returning(result))
    assert found["step"].result is None
    assert problem in (found["step"].error or "")


async def test_a_result_that_contains_itself_is_the_steps_failure() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    found = await processed(returning(endless))
    assert "levels deep" in (found["step"].error or "")


async def test_nothing_happens_when_the_phase_is_not_due() -> None:
    catalogue = Catalogue()
    catalogue.due = None
    phase = AiPhase(catalogue, [raising(AssertionError())])  # type: ignore[arg-type]
    await phase.process("nike", catalogue.run_id)
    assert catalogue.published == []


async def test_a_message_names_brand_and_run() -> None:
    catalogue = Catalogue()
    phase = AiPhase(catalogue, [])  # type: ignore[arg-type]
    headers = Headers(run_id=catalogue.run_id).encode()
    for sent in (headers, {}):
        await phase.handle(Delivery(AI_QUEUE, "1", "r", {"brand": "nike"}, sent, 1))
    assert catalogue.begun == [("nike", catalogue.run_id), ("nike", None)]
    with pytest.raises(InvalidMessage):
        await phase.handle(Delivery(AI_QUEUE, "1", "r", {"brand": "nike", "x": 1}, {}, 1))


async def test_an_unavailable_database_is_the_messages_problem() -> None:
    catalogue = Catalogue()
    catalogue.away = True
    with pytest.raises(DatabaseUnavailable):
        await AiPhase(catalogue, [returning({})]).process("nike", None)  # type: ignore[arg-type]


def test_two_steps_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        AiPhase(Catalogue(), [returning({}), returning({})])  # type: ignore[arg-type]


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
    catalogue, blocking = Catalogue(), Blocking()
    steps = [returning({}), blocking.step]
    task = asyncio.create_task(AiPhase(catalogue, steps).process("nike", None))  # type: ignore[arg-type]
    await until(blocking.begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    blocking.go_on.set()
    await until(blocking.ended.wait)
    assert catalogue.published == []


async def test_a_step_that_takes_too_long_is_recorded_and_loses_no_other() -> None:
    blocking = Blocking()
    found = await processed(blocking.step, returning({}, "next"), step_deadline_s=0.05)
    blocking.go_on.set()
    assert found["blocking"].error == "TimeoutError: not done after 0.05 s"
    assert found["next"].error is None


HANGING = """
import asyncio, threading
from triptych.phases.ai import in_thread

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


def test_a_hanging_step_keeps_no_process_alive() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("stopped\n", 0), done.stderr
