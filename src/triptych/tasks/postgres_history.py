"""Histories of brands on Postgres."""

from __future__ import annotations

from operator import itemgetter

import asyncpg
from typing_extensions import override

from triptych.database.paging import NEWEST, sliced
from triptych.database.rows import Reader, reader
from triptych.database.session import Database
from triptych.model import Slice
from triptych.tasks.history_store import Happened, HistoryPosition, HistoryRow, HistoryStore
from triptych.tasks.task_store import KeptAudit

START = HistoryPosition(NEWEST.at, 0, "")


class PostgresHistoryStore(HistoryStore):
    """`HistoryStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def history_slice(
        self, brand: str, *, before: HistoryPosition | None, limit: int, actions: bool
    ) -> Slice[HistoryRow, HistoryPosition]:
        start = before or START
        place = (start.at, start.rank, start.key)
        rows = await self._database.rows("brand_history", brand, *place, limit + 1, actions)
        return sliced(
            rows, limit, _entry, lambda row: HistoryPosition(row["at"], row["rank"], row["key"])
        )


_to_audit: Reader[KeptAudit] = reader(KeptAudit, id=itemgetter("audit_id"))


def _entry(row: asyncpg.Record) -> HistoryRow:
    action = _to_audit(row) if row["audit_id"] is not None else None
    return HistoryRow(row["at"], Happened(row["kind"]), row["run_id"], action)
