"""Uploads in memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from uuid import UUID

from typing_extensions import override

from triptych.model import Age, RunState, Slice
from triptych.testing.memory_state import MemoryState
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
    upload_of,
)


class MemoryUploadStore(UploadStore):
    """`UploadStore` in memory, where no backup is made."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self._uploads: dict[UUID, Upload] = {}

    @override
    async def put_upload(self, upload: NewUpload) -> Upload:
        if upload.id not in self._uploads:
            if len(self._uploads) >= UPLOADS_MAX:
                raise too_many()
            now = self._state.now()
            self._uploads[upload.id] = Upload(
                **asdict(upload), created_at=now, used_at=now, brands=()
            )
        return await self.upload(upload.id)

    @override
    async def upload(self, upload_id: UUID) -> Upload:
        brands = tuple(self._brands(upload_id)[:USERS_SHOWN])
        return replace(self._row(upload_id), brands=brands)

    @override
    async def uploads(
        self, *, uploaded_by: str | None, before: Age | None, limit: int
    ) -> Slice[Upload, Age]:
        left = sorted(self._uploads.values(), key=_age, reverse=True)
        left = [each for each in left if uploaded_by in {None, each.uploaded_by}]
        if before is not None:
            left = [each for each in left if _age(each) < (before.at, before.id)]
        page = [await self.upload(each.id) for each in left[:limit]]
        return Slice(page, Age(*_age(page[-1])) if len(left) > limit else None)

    @override
    async def use_upload(self, upload_id: UUID) -> Upload:
        self._uploads[upload_id] = replace(self._row(upload_id), used_at=self._state.now())
        return self._uploads[upload_id]

    @override
    async def remove_upload(self, upload_id: UUID) -> Removed:
        row = self._row(upload_id)
        if brands := self._brands(upload_id):
            raise upload_in_use(brands[0], active=False)
        if active := self._active(upload_id):
            raise upload_in_use(active[0], active=True)
        del self._uploads[upload_id]
        return Removed(row.object_key, deletable=True)

    @override
    async def remove_unused(self, *, unused_s: float, limit: int) -> Sequence[str]:
        before = self._state.now() - timedelta(seconds=unused_s)
        old = sorted(self._uploads.values(), key=lambda each: each.used_at)
        unused = [
            each
            for each in old
            if each.used_at < before and not self._brands(each.id) and not self._active(each.id)
        ][:limit]
        for each in unused:
            del self._uploads[each.id]
        return [each.object_key for each in unused]

    @override
    async def unnamed_objects(self, keys: Collection[str]) -> Sequence[str]:
        named = {each.object_key for each in self._uploads.values()}
        return [key for key in keys if key not in named]

    def _row(self, upload_id: UUID) -> Upload:
        if upload_id not in self._uploads:
            raise upload_not_found(upload_id)
        return self._uploads[upload_id]

    def _brands(self, upload_id: UUID) -> list[str]:
        rows = self._state.brands.values()
        return sorted(
            row.name
            for row in rows
            if row.source is not None and not row.deleting and upload_of(row.source) == upload_id
        )

    def _active(self, upload_id: UUID) -> list[str]:
        runs = (row.run for row in self._state.runs.values())
        return sorted(
            run.brand
            for run in runs
            if run.state is RunState.ACTIVE
            and run.source is not None
            and upload_of(run.source) == upload_id
        )


def _age(upload: Upload) -> tuple[datetime, UUID]:
    return (upload.created_at, upload.id)
