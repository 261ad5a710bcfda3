"""The AI phase's transactions on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from triptych.adapters.postgres.rows import to_run
from triptych.adapters.postgres.session import Database, Transaction, no_nul
from triptych.model import AiState, Insight, Run

ERROR_MAX_CHARS = 1000


class PostgresAi:
    """`triptych.ports.Ai` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin_ai(self, brand: str, run_id: UUID | None) -> Run | None:
        """See `triptych.ports.Ai.begin_ai`."""

        async def work(tx: Transaction) -> Run | None:
            if row := await tx.row("begin_ai", brand, run_id):
                await tx.rows("add_event", row["id"], "ai_started", {})
                return to_run(row)
            if run_id is not None and await tx.row("supersede_ai", run_id):
                await tx.rows("add_event", run_id, "ai_superseded", {})
            return None

        return await self._database.transact(work)

    async def finish_ai(self, run_id: UUID, insights: Sequence[Insight]) -> bool:
        """See `triptych.ports.Ai.finish_ai`."""
        failed = sorted(insight.kind for insight in insights if insight.error is not None)
        reason = f"failed steps: {', '.join(failed)}" if failed else None

        async def work(tx: Transaction) -> bool:
            if not await tx.row("end_ai", run_id, AiState.DONE.value, reason):
                if await tx.row("supersede_ai", run_id):
                    await tx.rows("add_event", run_id, "ai_superseded", {})
                return False
            await tx.rows("drop_insights", run_id)
            for insight in insights:
                error = no_nul([insight.error], ERROR_MAX_CHARS)[0]
                await tx.rows(
                    "insert_insight", run_id, insight.kind, insight.result, error, insight.seconds
                )
            await tx.rows(
                "add_event", run_id, "ai_done", {"steps": len(insights), "failed": failed}
            )
            return True

        return await self._database.transact(work)

    async def fail_ai(self, run_id: UUID, reason: str) -> None:
        """See `triptych.ports.Ai.fail_ai`."""
        text = no_nul([reason], ERROR_MAX_CHARS)[0]

        async def work(tx: Transaction) -> None:
            if await tx.row("fail_ai", run_id, text):
                await tx.rows("add_event", run_id, "ai_failed", {"reason": text})

        await self._database.transact(work)
