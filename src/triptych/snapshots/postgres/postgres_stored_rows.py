"""Every row that names an object, on Postgres.

Rows have no index by object, which would cost every commit. So they are copied once into a
temporary table with one, and read from there in pages, without a transaction: a check of hours
holds nothing back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import groupby

import asyncpg
from typing_extensions import override

from triptych.database.session import COMMIT_TIMEOUT_S, Database, translated
from triptych.database.statements import statements
from triptych.snapshots.stored_rows import ROWS_SHOWN_MAX, RowPages, StoredRow, StoredRows

PAGE_ROWS = 5_000
_CONNECTION = "triptych-verify"
_BEFORE_ALL = -1


class PostgresStoredRows(StoredRows):
    """`StoredRows` on Postgres, over a connection of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def open(self, brands: Sequence[str]) -> AbstractAsyncContextManager[RowPages]:
        return self._open(brands)

    @asynccontextmanager
    async def _open(self, brands: Sequence[str]) -> AsyncIterator[RowPages]:
        connection = await self._database.connect(_CONNECTION)
        try:
            pages = PostgresRowPages(connection)
            await pages.copy(brands)
            yield pages
        finally:
            # The table ends with it.
            await connection.close()


class PostgresRowPages(RowPages):
    """`RowPages` in a temporary table of one connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def copy(self, brands: Sequence[str]) -> None:
        """Copy the rows of these brands, or of all if there is none.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        await self._rows("stored_rows_table")
        await self._rows("stored_rows_fill", list(brands) or None)
        await self._rows("stored_rows_index")

    @override
    async def objects(
        self, low: str, high: str, *, batch: int
    ) -> AsyncIterator[Sequence[Sequence[StoredRow]]]:
        found: list[list[StoredRow]] = []
        after = (low, "", "", _BEFORE_ALL)
        while rows := await self._rows("stored_rows_page", *after, high, PAGE_ROWS):
            for key, group in groupby(rows, key=lambda row: row["object_key"]):
                if not (found and found[-1][0].object_key == key):
                    # The last one may go on in the next page.
                    if len(found) > batch:
                        yield found[:batch]
                        found = found[batch:]
                    found.append([])
                room = ROWS_SHOWN_MAX - len(found[-1])
                found[-1] += [StoredRow(**row) for row in list(group)[: max(0, room)]]
            last = rows[-1]
            after = (last["object_key"], last["brand"], last["url"], last["size_bytes"])
        for start in range(0, len(found), batch):
            yield found[start : start + batch]

    @override
    async def waiting(self, keys: Sequence[str]) -> frozenset[str]:
        rows = await self._rows("objects_waiting", list(keys))
        return frozenset(row["object_key"] for row in rows)

    @override
    async def named(self, keys: Sequence[str]) -> frozenset[str]:
        rows = await self._rows("objects_named", list(keys))
        return frozenset(row["object_key"] for row in rows)

    async def _rows(self, name: str, *args: object) -> list[asyncpg.Record]:
        with translated():
            found: list[asyncpg.Record] = await self._connection.fetch(
                statements()[name], *args, timeout=COMMIT_TIMEOUT_S
            )
            return found
