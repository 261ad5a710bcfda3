"""Dead letters on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from typing_extensions import override

from triptych.database.paging import LAST_ID, sliced
from triptych.database.rows import Reader, reader, to_metadata
from triptych.database.session import Database
from triptych.dead_letters.dead_letter_store import (
    NOT_REDRIVEN,
    DeadLetter,
    DeadLetterStore,
    KeptLetter,
    Letters,
)
from triptych.model import Metadata, Slice
from triptych.runtime.json_values import UnreadableJson


def _body(row: asyncpg.Record) -> Any:
    # A plain text: answers are encoded by exact type.
    return str(row["body"]) if isinstance(row["body"], UnreadableJson) else row["body"]


def _headers(row: asyncpg.Record) -> Metadata:
    return to_metadata(row["headers"])


to_letter: Reader[DeadLetter] = reader(DeadLetter, body=_body, headers=_headers)
to_kept_letter: Reader[KeptLetter] = reader(KeptLetter, body=_body, headers=_headers)
to_letters: Reader[Letters] = reader(Letters)


class PostgresDeadLetterStore(DeadLetterStore):
    """`DeadLetterStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def record(self, letter: DeadLetter) -> None:
        await self._database.rows(
            "bury",
            letter.queue,
            letter.message_id,
            letter.body,
            letter.headers,
            letter.reason,
            letter.run_id,
        )

    @override
    async def dead_letters(self, *, limit: int) -> Sequence[tuple[datetime, DeadLetter]]:
        rows = await self._database.rows("dead_letters", limit)
        return [(row["at"], to_letter(row)) for row in rows]

    @override
    async def page(self, *, before: int | None, limit: int) -> Slice[KeptLetter, int]:
        since = LAST_ID if before is None else before
        rows = await self._database.rows("dead_letters_page", since, limit + 1)
        return sliced(rows, limit, to_kept_letter, lambda row: int(row["id"]))

    @override
    async def count(self, *, limit: int) -> Letters:
        (row,) = await self._database.rows("dead_letters_kept", limit)
        return to_letters(row)

    @override
    async def redrive_letters(
        self, *, ids: Sequence[int] | None, queue: str | None, limit: int
    ) -> int:
        rows = await self._database.rows(
            "redrive_letters", None if ids is None else list(ids), queue, limit, list(NOT_REDRIVEN)
        )
        count: int = rows[0]["redriven"]
        return count

    @override
    async def discard(self, ids: Sequence[int]) -> int:
        return len(await self._database.rows("discard_letters", list(ids)))
