"""The pictures that runs have acquired, on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from typing_extensions import override

from triptych.database.rows import reader
from triptych.database.session import Database
from triptych.runs.picture_store import PICTURES_SCAN, AcquiredPicture, PictureStore

_to_picture = reader(AcquiredPicture)


class PostgresPictureStore(PictureStore):
    """`PictureStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def newest(
        self, run_id: UUID, *, after: datetime | None, limit: int
    ) -> Sequence[AcquiredPicture]:
        rows = await self._database.rows("newest_pictures", run_id, after, limit, PICTURES_SCAN)
        return [_to_picture(row) for row in rows]

    @override
    async def content(self, run_id: UUID, key: bytes) -> bytes | None:
        rows = await self._database.rows("acquired_content", run_id, key)
        sha256: bytes | None = rows[0]["sha256"] if rows else None
        return sha256
