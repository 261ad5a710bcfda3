"""Objects that are known to be damaged, on Postgres."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from triptych.database.session import Database
from triptych.snapshots.damage_store import DamageStore


class PostgresDamageStore(DamageStore):
    """`DamageStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def note(self, keys: Sequence[str]) -> None:
        # In one order, so that two processes that note the same ones do not wait in a circle.
        await self._database.rows("note_damage", sorted(set(keys)))

    @override
    async def noted(self, keys: Sequence[str]) -> frozenset[str]:
        rows = await self._database.rows("noted_damage", list(keys))
        return frozenset(row["object_key"] for row in rows)

    @override
    async def forget(self, keys: Sequence[str]) -> None:
        await self._database.rows("forget_damage", list(keys))

    @override
    async def count(self) -> int:
        rows = await self._database.rows("count_damage")
        return int(rows[0]["count"])
