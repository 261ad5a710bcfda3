"""Runs a step, validates its result and isolates its failure."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import structlog

from triptych.ai.ai_store import AssetVectors, Marks
from triptych.ai.context import Column, StepResult, Vectors
from triptych.ai.pixels import StoredPixels
from triptych.ai.step import Snapshot, Step
from triptych.model import MARKS, Insight
from triptych.shown_url import shown_text

RESULT_MAX_BYTES = 32 * 1024 * 1024
RESULT_MAX_DEPTH = 64
"""Levels of nesting in a step's result."""
ERROR_MAX_CHARS = 1_000
RESERVED = ("version", "assets", "sampled")
"""Fields that Triptych adds to every published result: the step's version, the number of assets
that the step was given, and whether they were only a sample of the snapshot."""
LOST = "pictures_lost"
"""A field that Triptych adds if objects that the step asked for are damaged, missing or could not
be read: their number. The step has done without their pixels."""
MARK_MAX_CHARS = 200
TAGS_MAX = 50
"""The most tags of one asset."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The output of one step, ready to be published; a failed step has an insight only."""

    insight: Insight
    marks: Mapping[str, Sequence[Any]]
    vectors: Vectors | None = None


def run_step(step: Step, snapshot: Snapshot) -> Answer:
    """Run a step and validate its output; any exception becomes the insight's error."""
    begun = time.perf_counter()
    pixels = snapshot.context.pixels
    if isinstance(pixels, StoredPixels):
        pixels.lost.clear()  # Those of the step before.
    try:
        given = step.run(snapshot)
        found = given if isinstance(given, StepResult) else StepResult(given)
        result = _publishable(step, snapshot, found.result)
        marks = {name: _checked(name, found.marks[name], len(snapshot)) for name in found.marks}
        _check_vectors(found.vectors, len(snapshot))
    except (Exception, SystemExit) as error:  # Isolates a step's failure.
        text = error_text(error)
        log.exception("ai_step_failed", step=step.name, run=str(snapshot.run_id), error=text)
        return Answer(Insight(step.name, None, text, time.perf_counter() - begun), {})
    return Answer(
        Insight(step.name, result, None, time.perf_counter() - begun), marks, found.vectors
    )


def merge_results(
    snapshot: Snapshot, answers: Sequence[Answer]
) -> tuple[Marks, list[AssetVectors]]:
    """Return the marks and vectors of all steps; if two use the same name, the first wins."""
    values: dict[str, Sequence[Any]] = {}
    for answer in answers:
        for name, column in answer.marks.items():
            if values.setdefault(name, column) is not column:
                log.error("mark_given_twice", name=name, step=answer.insight.kind)
    spaces = {answer.vectors.model: answer.vectors for answer in answers if answer.vectors}
    vectors = [
        AssetVectors(space.model, snapshot.keys[space.rows], space.vectors)
        for space in spaces.values()
    ]
    return Marks(snapshot.keys, values), vectors


def _checked(name: str, given: Column, count: int) -> Sequence[Any]:
    """Return a column of marks in a form that every store accepts.

    Raises:
        TypeError, ValueError: the length differs from the number of assets, or a value does not
            have the type of the name.
    """
    column: Sequence[Any] = given.tolist() if isinstance(given, np.ndarray) else given
    if len(column) != count:
        raise ValueError(f"mark {name!r} has {len(column)} values for {count} assets")
    wanted = MARKS.get(name)
    for value in column:
        if value is None:
            continue
        if wanted is None:
            _check_json({"mark": value})
        elif wanted is list:
            _check_tags(value)
        elif not isinstance(value, wanted):
            raise TypeError(f"mark {name!r} holds {type(value).__name__}, not {wanted.__name__}")
        else:
            _check_scalar(value, f"mark {name!r}")
            _check_length(value)
    return column


def _check_tags(tags: object) -> None:
    if not isinstance(tags, list) or len(tags) > TAGS_MAX:
        raise TypeError(f"tags are lists of at most {TAGS_MAX} texts")
    for tag in tags:
        if not isinstance(tag, str):
            raise TypeError(f"a tag is of {type(tag).__name__}, not text")
        _check_scalar(tag, "a tag")
        _check_length(tag)


def _check_length(value: object) -> None:
    if isinstance(value, str) and len(value) > MARK_MAX_CHARS:
        raise ValueError(f"a mark has {len(value)} characters; {MARK_MAX_CHARS} are allowed")


def _check_vectors(vectors: Vectors | None, count: int) -> None:
    if vectors is None:
        return
    rows = vectors.rows
    good = (
        vectors.vectors.ndim == 2
        and len(rows) == len(vectors.vectors)
        and (not len(rows) or (rows[0] >= 0 and rows[-1] < count and (np.diff(rows) > 0).all()))
        and np.isfinite(vectors.vectors).all()
    )
    if not good:
        raise ValueError("vectors are (m, d) finite numbers with m ascending rows of the snapshot")


def _publishable(step: Step, snapshot: Snapshot, result: object) -> Mapping[str, Any]:
    """Return the result in its published form.

    Raises:
        TypeError, ValueError: it is not JSON that every store accepts, or it is too large.
    """
    if not isinstance(result, Mapping):
        raise TypeError(f"the result is of {type(result).__name__}, not a JSON object")
    if taken := [name for name in (*RESERVED, LOST) if name in result]:
        raise ValueError(f"the result has {', '.join(taken)}, which Triptych adds")
    _check_json(result)
    added = dict(zip(RESERVED, (step.version, len(snapshot), snapshot.sampled), strict=True))
    pixels = snapshot.context.pixels
    if isinstance(pixels, StoredPixels) and pixels.lost:
        added[LOST] = len(pixels.lost)
    published = {**added, **result}
    size = len(orjson.dumps(published))  # Also rejects types that only resemble JSON's.
    if size > RESULT_MAX_BYTES:
        raise ValueError(f"the result has {size} bytes of JSON; {RESULT_MAX_BYTES} are allowed")
    return published


def _check_json(result: Mapping[Any, Any]) -> None:
    """Reject values that JSON (NaN, infinity, other types) or databases (NUL) cannot represent."""
    waiting: list[tuple[object, str, int]] = [(result, "result", 1)]
    while waiting:
        value, where, depth = waiting.pop()
        if depth > RESULT_MAX_DEPTH:
            raise ValueError(f"the result is more than {RESULT_MAX_DEPTH} levels deep")
        if isinstance(value, Mapping):
            for name, part in value.items():
                if not isinstance(name, str):
                    raise TypeError(f"{where} has the key {name!r}, which is not text")
                _check_scalar(name, f"a key of {where}")
                waiting.append((part, f"{where}.{name}", depth + 1))
        elif isinstance(value, (list, tuple)):
            waiting.extend((part, f"{where}[{at}]", depth + 1) for at, part in enumerate(value))
        else:
            _check_scalar(value, where)


def _check_scalar(value: object, where: str) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError(f"{where} holds a NUL character")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, which JSON does not have")
    elif not (value is None or isinstance(value, int)):
        raise TypeError(f"{where} is of {type(value).__name__}, which JSON does not have")


def error_text(error: BaseException) -> str:
    """Return ``Type: message`` in a form that every store accepts; URLs are as they are shown."""
    try:
        message = str(error)
    except Exception as defect:  # noqa: BLE001 - a third-party error's __str__ may raise
        message = f"its message cannot be read ({type(defect).__name__})"
    text = shown_text(f"{type(error).__name__}: {message}")[:ERROR_MAX_CHARS]
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
