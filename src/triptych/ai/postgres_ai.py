"""The AI phase's transactions on Postgres."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

import asyncpg
import numpy as np
from pgvector import HalfVector
from typing_extensions import override

from triptych.ai.ai_store import AiStore, AssetVectors, BrandCells, Marks, Published
from triptych.database.rows import to_insight, to_run
from triptych.database.session import COMMIT_TIMEOUT_S, Database, Transaction, no_nul
from triptych.messages import AI_QUEUE, AiBody, Headers
from triptych.model import KEY_BYTES, MARKS, AiState, Insight, Metadata, Run
from triptych.webhooks.webhook_store import Event

ERROR_MAX_CHARS = 1000
MARKS_PAGE = 10_000
"""Marked assets read at a time."""


class PostgresAiStore(AiStore):
    """`AiStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def begin_ai(self, brand: str, run_id: UUID | None) -> Run | None:

        async def work(tx: Transaction) -> Run | None:
            if row := await tx.row("begin_ai", brand, run_id):
                await tx.rows("add_event", row["id"], "ai_started", {})
                return to_run(row)
            if run_id is not None and await tx.row("supersede_ai", run_id):
                await tx.rows("add_event", run_id, "ai_superseded", {})
            return None

        return await self._database.transact(work)

    @override
    async def note_ai(self, run_id: UUID, progress: Metadata) -> None:
        await self._database.rows("note_ai", run_id, progress)

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
        failed = sorted(insight.kind for insight in insights if insight.error is not None)
        reason = f"failed steps: {', '.join(failed)}" if failed else None

        async def work(tx: Transaction) -> bool:
            # No row: the phase has ended, or a newer snapshot has replaced this one.
            ended = await tx.row("end_ai", run_id, AiState.DONE.value, reason)
            if ended is None:
                if await tx.row("supersede_ai", run_id):
                    await tx.rows("add_event", run_id, "ai_superseded", {})
                return False
            await tx.rows("drop_insights", run_id)
            for insight in insights:
                error = no_nul([insight.error], ERROR_MAX_CHARS)[0]
                await tx.rows(
                    "insert_insight", run_id, insight.kind, insight.result, error, insight.seconds
                )
            await _replace_marks(tx, run_id, marks)
            await _replace_vectors(tx, run_id, vectors)
            await tx.rows(
                "add_event", run_id, "ai_done", {"steps": len(insights), "failed": failed}
            )
            if unfinished:
                await _queue_again(tx, run_id, ended["brand"])
            else:
                await tx.rows("owe_webhooks", run_id, Event.AI_DONE.value)
            return True

        return await self._database.transact(work)

    @override
    async def fail_ai(self, run_id: UUID, reason: str) -> None:
        text = no_nul([reason], ERROR_MAX_CHARS)[0]

        async def work(tx: Transaction) -> None:
            if await tx.row("fail_ai", run_id, text):
                await tx.rows("add_event", run_id, "ai_failed", {"reason": text})
                await tx.rows("owe_webhooks", run_id, Event.AI_FAILED.value)

        await self._database.transact(work)

    @override
    async def earlier_ai(self, run_id: UUID) -> Published | None:
        rows = await self._database.rows("earlier_ai", run_id)
        if not rows:
            return None
        earlier = rows[0]["id"]
        insights = [to_insight(row) for row in await self._database.rows("insights", earlier)]
        return Published(earlier, insights, await self._marks(earlier))

    async def _marks(self, run_id: UUID) -> Marks:
        keys = bytearray()
        values: dict[str, list[object]] = {name: [] for name in MARKS}
        after: bytes | None = None
        while page := await self._database.rows("marks", run_id, after, MARKS_PAGE):
            for row in page:
                keys += row["key"]
                for name, column in values.items():
                    column.append(row[name])
            after = page[-1]["key"]
        return Marks(np.frombuffer(bytes(keys), np.uint8).reshape(-1, KEY_BYTES), values)

    @override
    async def brand_cells(
        self, step: str, space: str, *, besides: str, after: str | None, limit: int
    ) -> Sequence[BrandCells]:
        rows = await self._database.rows("brand_cells", step, space, besides, after, limit)
        ids = [row["run_id"] for row in rows]
        vectors: dict[UUID, list[asyncpg.Record]] = {run_id: [] for run_id in ids}
        for vector in await self._database.rows("vectors_of", ids, space):
            vectors[vector["run_id"]].append(vector)
        return [
            BrandCells(
                row["name"], row["run_id"], row["cells"], _space(space, vectors[row["run_id"]])
            )
            for row in rows
        ]


async def _queue_again(tx: Transaction, run_id: UUID, brand: str) -> None:
    body, headers = AiBody(brand=brand).model_dump(), Headers(run_id=run_id).encode()
    await tx.rows("owe", AI_QUEUE, body, headers, brand, run_id)
    await tx.rows("queue_ai", run_id)
    await tx.rows("add_event", run_id, "ai_requested", {})


def _space(space: str, rows: Sequence[asyncpg.Record]) -> AssetVectors:
    keys = np.frombuffer(b"".join(row["key"] for row in rows), np.uint8).reshape(-1, KEY_BYTES)
    vectors = np.array([row["embedding"] for row in rows], np.float16)
    return AssetVectors(space, keys, vectors.reshape(len(rows), -1 if rows else 0))


async def _replace_marks(tx: Transaction, run_id: UUID, marks: Marks | None) -> None:
    await tx.rows("drop_marks", run_id, timeout_s=COMMIT_TIMEOUT_S)
    if marks is None or not marks.values:
        return
    columns = ("run_id", "key", *MARKS, "more")
    await tx.copy("marks", columns, _marked(run_id, marks), timeout_s=COMMIT_TIMEOUT_S)


def _marked(run_id: UUID, marks: Marks) -> Iterator[tuple[object, ...]]:
    """Yield a row for each asset that has a mark."""
    known = [marks.values.get(name) for name in MARKS]
    others = {name: column for name, column in marks.values.items() if name not in MARKS}
    for row, key in enumerate(marks.keys):
        values = [None if column is None else column[row] for column in known]
        more = {name: column[row] for name, column in others.items() if column[row] is not None}
        if more or any(value is not None for value in values):
            yield (run_id, key.tobytes(), *values, more or None)


async def _replace_vectors(tx: Transaction, run_id: UUID, vectors: Sequence[AssetVectors]) -> None:
    await tx.rows("drop_vectors", run_id, timeout_s=COMMIT_TIMEOUT_S)
    columns = ("run_id", "key", "model", "embedding")
    for space in vectors:
        rows = (
            (run_id, key.tobytes(), space.model, HalfVector(vector))
            for key, vector in zip(space.keys, space.vectors, strict=True)
        )
        await tx.copy("vectors", columns, rows, timeout_s=COMMIT_TIMEOUT_S)
