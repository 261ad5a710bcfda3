"""Brands committed without going through runs: what reads and searches need a database full of."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from triptych.database.session import Database, Transaction

COLUMNS = (
    *("run_id", "key", "brand", "url", "sha256", "object_key", "media_type", "size_bytes"),
    *("width", "height", "phash", "model", "embedding", "metadata"),
)
COPY_TIMEOUT_S = 600.0


async def begin_brand(database: Database, brand: str, run_id: UUID, count: int) -> None:
    """Write a brand and its committed run of so many assets, which are copied next."""
    await database.fetch("insert into brands (name) values ($1)", brand)
    await database.fetch(
        "insert into runs (id, brand, kind, state, tolerated_failures, max_attempts, deadline_s,"
        " deadline_at, sealed, added, kept, changed, removed, ended_at, ai_state) values"
        " ($1, $2, 'full', 'committed', 0.5, 5, 60, now(), true, $3, 0, 0, 0, now(), 'done')",
        *(run_id, brand, count),
    )


async def copy_assets(database: Database, rows: Iterable[tuple[object, ...]]) -> None:
    """Write assets, each a tuple of `COLUMNS`."""

    async def copy(tx: Transaction) -> None:
        await tx.copy("assets", COLUMNS, rows, timeout_s=COPY_TIMEOUT_S)

    await database.transact(copy)


async def end_brand(database: Database, brand: str, run_id: UUID) -> None:
    """Make a run's assets what the brand shows."""
    await database.fetch("update brands set current_run = $2 where name = $1", brand, run_id)
