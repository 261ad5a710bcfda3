"""The AI phase's transactions in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
from typing_extensions import override

from triptych.ai.ai_store import AiStore, AssetVectors, BrandCells, Marks, Published
from triptych.database.session import no_nul
from triptych.messages import AI_QUEUE, AiBody, Headers, Message
from triptych.model import KEY_BYTES, MARKS, AiState, Insight, Metadata, Run, RunState
from triptych.testing.memory_state import MemoryState, RunRow, as_json

ERROR_MAX_CHARS = 1000
UNENDED = (AiState.QUEUED, AiState.RUNNING)


class MemoryAiStore(AiStore):
    """`AiStore` in memory."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    @override
    async def begin_ai(self, brand: str, run_id: UUID | None) -> Run | None:
        row = self._state.snapshot_row(brand)
        due = run_id is None or (
            row is not None
            and row.run.id == run_id
            and row.run.ai_state in (*UNENDED, AiState.FAILED)
        )
        if row is not None and due:
            self._state.change(row, ai_state=AiState.RUNNING, ai_reason=None, ai_progress={})
            run = row.run
            self._state.event(row, "ai_started", {})
            return run
        if run_id is not None:
            self._supersede(run_id)
        return None

    def _supersede(self, run_id: UUID) -> None:
        row = self._state.runs.get(run_id)
        if row is None or row is self._state.snapshot_row(row.run.brand):
            return
        if row.run.state is RunState.COMMITTED and row.run.ai_state in UNENDED:
            self._state.change(row, ai_state=AiState.SUPERSEDED)
            self._state.event(row, "ai_superseded", {})

    @override
    async def note_ai(self, run_id: UUID, progress: Metadata) -> None:
        row = self._state.runs.get(run_id)
        if row is not None and row.run.ai_state is AiState.RUNNING:
            self._state.change(row, ai_progress=as_json(progress))

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
        row = self._state.run_row(run_id)
        current = row is self._state.snapshot_row(row.run.brand)
        if not current or row.run.ai_state is not AiState.RUNNING:
            self._supersede(run_id)
            return False
        failed = sorted(insight.kind for insight in insights if insight.error is not None)
        kept = {insight.kind: _stored(insight) for insight in insights}
        said = {} if marks is None else _by_key(marks)
        row.insights, row.marks, row.vectors = kept, said, list(vectors)
        reason = f"failed steps: {', '.join(failed)}" if failed else None
        self._state.change(row, ai_state=AiState.DONE, ai_reason=reason, ai_progress={})
        self._state.event(row, "ai_done", {"steps": len(insights), "failed": failed})
        if unfinished:
            body, headers = AiBody(brand=row.run.brand).model_dump(), Headers(run_id=run_id)
            message = Message(body, headers.encode(), row.run.brand)
            self._state.owe(AI_QUEUE, message, run_id)
            self._state.change(row, ai_state=AiState.QUEUED, ai_reason=None)
            self._state.event(row, "ai_requested", {})
        return True

    @override
    async def fail_ai(self, run_id: UUID, reason: str) -> None:
        row = self._state.runs.get(run_id)
        if row is None or row.run.state is not RunState.COMMITTED:
            return
        if row.run.ai_state in UNENDED:
            text = no_nul([reason], ERROR_MAX_CHARS)[0]
            self._state.change(row, ai_state=AiState.FAILED, ai_reason=text)
            self._state.event(row, "ai_failed", {"reason": text})

    @override
    async def earlier_ai(self, run_id: UUID) -> Published | None:
        row = self._state.runs.get(run_id)
        if row is None or row.run.ended_at is None:
            return None
        ended = row.run.ended_at
        for earlier in self._state.newest_first(row.run.brand):
            run = earlier.run
            before = run.ended_at is not None and run.ended_at < ended
            if before and run.state is RunState.COMMITTED and run.ai_state is AiState.DONE:
                insights = [earlier.insights[kind] for kind in sorted(earlier.insights)]
                return Published(run.id, insights, _columns(earlier.marks))
        return None

    @override
    async def brand_cells(
        self, step: str, space: str, *, besides: str, after: str | None, limit: int
    ) -> Sequence[BrandCells]:
        found: list[BrandCells] = []
        for name in sorted(self._state.brands):
            row = self._state.snapshot_row(name)
            if row is None or name == besides or (after is not None and name <= after):
                continue
            cells = _cells(row, step)
            vectors = next((one for one in row.vectors if one.model == space), None)
            if cells is not None and vectors is not None and len(vectors.keys):
                found.append(BrandCells(name, row.run.id, cells, _in_key_order(vectors)))
        return found[:limit]


def _stored(insight: Insight) -> Insight:
    result = None if insight.result is None else as_json(insight.result)
    return msgspec.structs.replace(
        insight, result=result, error=no_nul([insight.error], ERROR_MAX_CHARS)[0]
    )


def _by_key(marks: Marks) -> dict[bytes, Metadata]:
    """Return the marks of each asset, without empty ones."""
    said: dict[bytes, Metadata] = {}
    for number, key in enumerate(marks.keys):
        values = {name: column[number] for name, column in marks.values.items()}
        values = {name: value for name, value in values.items() if value is not None}
        if values:
            said[key.tobytes()] = as_json(values)
    return said


def _columns(said: dict[bytes, Metadata]) -> Marks:
    """Return the marks in columns, for the predefined marks."""
    keys = sorted(said)
    values: dict[str, list[Any]] = {name: [said[key].get(name) for key in keys] for name in MARKS}
    return Marks(np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES), values)


def _cells(row: RunRow, step: str) -> list[Metadata] | None:
    insight = row.insights.get(step)
    if insight is None or insight.error is not None or insight.result is None:
        return None
    cells = insight.result.get("cells")
    return cells if isinstance(cells, list) else None


def _in_key_order(vectors: AssetVectors) -> AssetVectors:
    order = sorted(range(len(vectors.keys)), key=lambda number: vectors.keys[number].tobytes())
    return AssetVectors(vectors.model, vectors.keys[order], vectors.vectors[order])
