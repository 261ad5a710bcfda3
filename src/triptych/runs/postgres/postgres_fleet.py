"""How many workers acquire, and how many runs have something for them, on Postgres."""

from __future__ import annotations

from typing_extensions import override

from triptych.database.session import Database
from triptych.presence.presence_store import SILENT_S
from triptych.runs.fleet_store import Fleet, FleetStore


class PostgresFleetStore(FleetStore):
    """`FleetStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def fleet(self) -> Fleet:
        (row,) = await self._database.rows("fleet", SILENT_S)
        return Fleet(row["workers"], row["runs"])
