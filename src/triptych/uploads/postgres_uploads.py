"""Uploads on Postgres."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from typing_extensions import override

from triptych.database.paging import NEWEST, age_of, sliced
from triptych.database.rows import Reader, reader
from triptych.database.session import Database, Transaction
from triptych.model import Age, Slice
from triptych.snapshots.object_hold import HOLD_KEY
from triptych.uploads.upload_store import (
    UPLOADS_MAX,
    USERS_SHOWN,
    NewUpload,
    Removed,
    Upload,
    UploadStore,
    too_many,
    upload_in_use,
    upload_not_found,
)

to_upload: Reader[Upload] = reader(Upload, brands=lambda row: tuple(row.get("brands") or ()))


class PostgresUploadStore(UploadStore):
    """`UploadStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def put_upload(self, upload: NewUpload) -> Upload:

        async def work(tx: Transaction) -> Upload:
            count = await tx.row("count_uploads")
            assert count is not None
            known = await tx.row("upload", upload.id, USERS_SHOWN)
            if known is None and count["count"] >= UPLOADS_MAX:
                raise too_many()
            made = await tx.row(
                "put_upload",
                upload.id,
                upload.object_key,
                upload.name,
                upload.size_bytes,
                upload.sha256,
                upload.uploaded_by,
            )
            kept = made or await tx.row("upload", upload.id, USERS_SHOWN)
            assert kept is not None
            return to_upload(kept)

        return await self._database.transact(work)

    @override
    async def upload(self, upload_id: UUID) -> Upload:
        rows = await self._database.rows("upload", upload_id, USERS_SHOWN)
        if not rows:
            raise upload_not_found(upload_id)
        return to_upload(rows[0])

    @override
    async def uploads(
        self, *, uploaded_by: str | None, before: Age | None, limit: int
    ) -> Slice[Upload, Age]:
        since = before or NEWEST
        rows = await self._database.rows(
            "uploads_page", since.at, since.id, uploaded_by, limit + 1, USERS_SHOWN
        )
        return sliced(rows, limit, to_upload, age_of)

    @override
    async def use_upload(self, upload_id: UUID) -> Upload:
        rows = await self._database.rows("use_upload", upload_id)
        if not rows:
            raise upload_not_found(upload_id)
        return to_upload(rows[0])

    @override
    async def remove_upload(self, upload_id: UUID) -> Removed:

        async def work(tx: Transaction) -> Removed:
            row = await tx.row("lock_upload", upload_id)
            if row is None:
                raise upload_not_found(upload_id)
            user = await tx.row("upload_users", upload_id)
            if user is not None:
                raise upload_in_use(user["name"], active=user["active"])
            free = await _is_free(tx)
            await tx.rows("drop_upload", upload_id)
            return Removed(row["object_key"], free)

        return await self._database.transact(work)

    @override
    async def remove_unused(self, *, unused_s: float, limit: int) -> Sequence[str]:

        async def work(tx: Transaction) -> Sequence[str]:
            if not await _is_free(tx):
                return []
            found = await tx.rows("remove_unused_uploads", unused_s, limit)
            return [row["object_key"] for row in found]

        return await self._database.transact(work)

    @override
    async def unnamed_objects(self, keys: Collection[str]) -> Sequence[str]:

        async def work(tx: Transaction) -> Sequence[str]:
            if not await _is_free(tx):
                return []
            named = {row["object_key"] for row in await tx.rows("named_uploads", list(keys))}
            return [key for key in keys if key not in named]

        return await self._database.transact(work)


async def _is_free(tx: Transaction) -> bool:
    """Return whether objects that no row names may be deleted after this transaction.

    A backup that begins later sees none of the rows that this one removes.
    """
    row = await tx.row("may_delete_objects", HOLD_KEY)
    assert row is not None
    return bool(row["free"])
