"""Phase 3, AI: run every step over the committed snapshot and publish all results at once."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar
from uuid import UUID

import orjson
import structlog

from triptych.insights.step import Snapshot, Step, load_snapshot
from triptych.messages import AiBody, Delivery, Headers, parse_body
from triptych.model import Insight
from triptych.ports import Catalogue

STEP_DEADLINE_S = 1_800.0
"""What a step may take. One that takes longer is recorded as failed; its thread cannot be stopped
and ends when it ends, or with the process."""
RESULT_MAX_BYTES = 32 * 1024 * 1024
RESULT_MAX_DEPTH = 64
"""Levels of nesting in a step's result."""
ERROR_MAX_CHARS = 1_000
RESERVED = ("version", "assets", "sampled")
"""What every published result says beside the step's own: the step's version, the assets that
the step was given, and whether they were only a sample of the snapshot."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class AiPhase:
    """Handles messages of ``brand-ai-phase-queue``.

    Safe to repeat: the catalogue lends a run's AI phase only while it is due, and publishes
    a run's insights once, in one transaction, only while its snapshot is the brand's current one.
    Whatever ends this in the middle, cancellation included, publishes nothing.

    Raises:
        ValueError: two steps have the same name.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        steps: Sequence[Step],
        *,
        step_deadline_s: float = STEP_DEADLINE_S,
    ) -> None:
        if len({step.name for step in steps}) < len(steps):
            raise ValueError("Two AI steps have the same name.")
        self._catalogue = catalogue
        self._steps = steps
        self._step_deadline_s = step_deadline_s

    async def handle(self, delivery: Delivery) -> None:
        """Process the brand named in the body, and the run named in the headers, if any.

        Raises:
            InvalidMessage: the body or a header is wrong.
            DatabaseUnavailable: to be tried again.
        """
        body = parse_body(AiBody, delivery.body)
        await self.process(body.brand, Headers.decode(delivery.headers).run_id)

    async def process(self, brand: str, run_id: UUID | None) -> None:
        """Run all steps over a run's snapshot, or over the brand's current one, and publish.

        A step that fails is published as failed, and ends no other. Nothing happens when
        the run's AI phase is done, or its snapshot no longer the current one.

        Raises:
            DatabaseUnavailable: nothing is published, or this cannot be known; to be tried again.
        """
        run = await self._catalogue.begin_ai(brand, run_id)
        if run is None:
            log.info("ai_not_due", brand=brand, run=str(run_id) if run_id else None)
            return
        snapshot = await load_snapshot(self._catalogue, run)
        insights = [await self._take(step, snapshot) for step in self._steps]
        published = await self._catalogue.finish_ai(run.id, insights)
        log.info(
            "ai_done" if published else "ai_not_published",
            run=str(run.id),
            brand=brand,
            assets=len(snapshot),
            failed=[insight.kind for insight in insights if insight.error is not None],
        )

    async def _take(self, step: Step, snapshot: Snapshot) -> Insight:
        """Run one step in a thread of its own. Never raises, except when cancelled."""
        try:
            async with asyncio.timeout(self._step_deadline_s):
                return await in_thread(lambda: _run(step, snapshot), name=f"ai-{step.name}")
        except TimeoutError:
            error = f"TimeoutError: not done after {self._step_deadline_s:g} s"
            log.error("ai_step_failed", step=step.name, run=str(snapshot.run_id), error=error)
            return Insight(step.name, None, error, self._step_deadline_s)


def _run(step: Step, snapshot: Snapshot) -> Insight:
    """Run a step and check its result; whatever it raises becomes the insight's error."""
    begun = time.perf_counter()
    try:
        result = _publishable(step, snapshot, step.run(snapshot))
    except (Exception, SystemExit) as error:  # A step's failure is its own alone.
        text = _error_text(error)
        log.exception("ai_step_failed", step=step.name, run=str(snapshot.run_id), error=text)
        return Insight(step.name, None, text, time.perf_counter() - begun)
    return Insight(step.name, result, None, time.perf_counter() - begun)


def _publishable(step: Step, snapshot: Snapshot, result: object) -> Mapping[str, Any]:
    """Return the result as it is published.

    Raises:
        TypeError, ValueError: it is not JSON that every store can hold, or too large.
    """
    if not isinstance(result, Mapping):
        message = f"the result is of {type(result).__name__}, not a JSON object"
        raise TypeError(message)
    if taken := [name for name in RESERVED if name in result]:
        message = f"the result has {', '.join(taken)}, which Triptych adds"
        raise ValueError(message)
    _check_json(result)
    added = dict(zip(RESERVED, (step.version, len(snapshot), snapshot.sampled), strict=True))
    published = {**added, **result}
    size = len(orjson.dumps(published))  # Refuses types that only look like JSON's, too.
    if size > RESULT_MAX_BYTES:
        message = f"the result has {size} bytes of JSON; {RESULT_MAX_BYTES} are allowed"
        raise ValueError(message)
    return published


def _check_json(result: Mapping[Any, Any]) -> None:
    """Refuse what JSON cannot say (NaN, infinity, other types) and databases cannot hold (NUL)."""
    waiting: list[tuple[object, str, int]] = [(result, "result", 1)]
    while waiting:
        value, where, depth = waiting.pop()
        if depth > RESULT_MAX_DEPTH:
            message = f"the result is more than {RESULT_MAX_DEPTH} levels deep"
            raise ValueError(message)
        if isinstance(value, Mapping):
            for name, part in value.items():
                if not isinstance(name, str):
                    message = f"{where} has the key {name!r}, which is not text"
                    raise TypeError(message)
                _check_scalar(name, f"a key of {where}")
                waiting.append((part, f"{where}.{name}", depth + 1))
        elif isinstance(value, (list, tuple)):
            waiting.extend((part, f"{where}[{at}]", depth + 1) for at, part in enumerate(value))
        else:
            _check_scalar(value, where)


def _check_scalar(value: object, where: str) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            message = f"{where} holds a NUL character"
            raise ValueError(message)
    elif isinstance(value, float):
        if not math.isfinite(value):
            message = f"{where} is {value}, which JSON does not have"
            raise ValueError(message)
    elif not (value is None or isinstance(value, int)):
        message = f"{where} is of {type(value).__name__}, which JSON does not have"
        raise TypeError(message)


def _error_text(error: BaseException) -> str:
    """Return ``Type: message`` as every store can hold it."""
    try:
        message = str(error)
    except Exception as defect:  # noqa: BLE001 - even the text of a foreign error may fail
        message = f"its message cannot be had ({type(defect).__name__})"
    text = f"{type(error).__name__}: {message}"[:ERROR_MAX_CHARS]
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


async def in_thread(work: Callable[[], T], *, name: str) -> T:
    """Run ``work`` in a thread of its own and return its result.

    Unlike `asyncio.to_thread`, whose pool a process waits for when it ends, a thread that nobody
    waits for any more keeps no process alive and takes no other work's place.
    """
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # From now on cancelling ends the waiting, not the work.

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            done.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name=name, daemon=True).start()
    return await asyncio.wrap_future(done)
