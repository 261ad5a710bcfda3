"""Deleting snapshots, brands and objects on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from typing_extensions import override

from triptych.database.session import COMMIT_TIMEOUT_S, Database, Transaction
from triptych.errors import Conflict
from triptych.snapshots.object_hold import HOLD_KEY
from triptych.snapshots.retention_store import RetentionStore

EMPTIED = (
    "empty_assets",
    "empty_staged",
    "empty_items",
    "empty_marks",
    "empty_vectors",
    "empty_insights",
)
"""Statements that delete a run's rows, each a limited number."""


RUNS_AT_ONCE = 100


class PostgresRetentionStore(RetentionStore):
    """`RetentionStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def take_turn(self, name: str, *, every_s: float) -> bool:
        return bool(await self._database.rows("take_turn", name, every_s))

    @override
    async def collect_snapshots(self, *, keep: int, min_age_s: float) -> int:
        return len(await self._database.rows("collect_snapshots", keep, min_age_s))

    @override
    async def collect_attempts(self, *, min_age_s: float) -> int:
        return len(await self._database.rows("collect_attempts", min_age_s))

    @override
    async def runs_to_empty(self, *, limit: int) -> Sequence[UUID]:
        return [row["id"] for row in await self._database.rows("runs_to_empty", limit)]

    @override
    async def empty_run(self, run_id: UUID, *, limit: int) -> bool:

        async def work(tx: Transaction) -> bool:
            return await _empty(tx, run_id, limit)

        return await self._database.transact(work)

    @override
    async def drop_timelines(self, *, older_s: float, limit: int) -> int:
        rows = await self._database.rows("drop_timelines", older_s, limit)
        return int(rows[0]["removed"])

    @override
    async def drop_deliveries(self, *, older_s: float) -> None:
        await self._database.rows("drop_deliveries", older_s)

    @override
    async def condemn_objects(self, *, grace_s: float, limit: int) -> int:

        async def work(tx: Transaction) -> int:
            if not await _spare(tx):
                return 0
            return len(await tx.rows("condemn_objects", grace_s, limit))

        return await self._database.transact(work)

    @override
    async def condemned_objects(self, *, settled_s: float, limit: int) -> Sequence[str]:

        async def work(tx: Transaction) -> Sequence[str]:
            hold = await tx.row("may_delete_objects", HOLD_KEY)
            assert hold is not None
            if not hold["free"] or not await _spare(tx):
                return []
            found = await tx.rows("condemned_objects", settled_s, limit)
            return [row["object_key"] for row in found]

        return await self._database.transact(work)

    @override
    async def objects_deleted(self, keys: Sequence[str]) -> None:
        await self._database.rows("objects_deleted", list(keys))

    @override
    async def drop_tombstones(self, *, older_s: float) -> None:
        await self._database.rows("drop_tombstones", older_s)

    @override
    async def delete_brand(self, brand: str, *, limit: int) -> bool:

        async def work(tx: Transaction) -> bool:
            await tx.rows("collect_brand", brand)
            remains = await tx.row("brand_remains", brand)
            assert remains is not None
            if remains["active"]:
                raise Conflict(
                    f"Brand {brand!r} has an active run, {remains['active_ids'][0]}.",
                    remedy="Cancel it first.",
                )
            if remains["unemptied"]:
                for row in await tx.rows("brand_runs_to_empty", brand, RUNS_AT_ONCE):
                    if not await _empty(tx, row["id"], limit):
                        break
                return False
            for statement in (
                "delete_brand_timeline",
                "delete_brand_outbox",
                "delete_brand_letters",
                "delete_brand_runs",
                "delete_brand_urls",
                "delete_brand_trust",
                "delete_brand",
            ):
                await tx.rows(statement, brand, timeout_s=COMMIT_TIMEOUT_S)
            return True

        return await self._database.transact(work)


async def _spare(tx: Transaction) -> bool:
    """Remove from the list what rows point to; return whether the list had any entry."""
    listed = await tx.row("any_unused")
    assert listed is not None
    if not listed["any"]:
        return False
    await tx.rows("spare_by_assets", timeout_s=COMMIT_TIMEOUT_S)
    await tx.rows("spare_by_staged", timeout_s=COMMIT_TIMEOUT_S)
    return True


async def _empty(tx: Transaction, run_id: UUID, limit: int) -> bool:
    """Delete at most ``limit`` rows of each kind; True if none is left."""
    full = False
    for statement in EMPTIED:
        row = await tx.row(statement, run_id, limit, timeout_s=COMMIT_TIMEOUT_S)
        assert row is not None
        full = full or row["removed"] >= limit
    if not full:
        await tx.rows("run_emptied", run_id)
    return not full
