"""The pictures that runs have acquired, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from typing_extensions import override

from triptych.model import ItemState
from triptych.runs.picture_store import PICTURES_SCAN, AcquiredPicture, PictureStore
from triptych.testing.memory_state import MemoryState


class MemoryPictureStore(PictureStore):
    """`PictureStore` in memory."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    @override
    async def newest(
        self, run_id: UUID, *, after: datetime | None, limit: int
    ) -> Sequence[AcquiredPicture]:
        row = self._state.runs.get(run_id)
        if row is None:
            return []
        until = row.next_dispatch or row.next_position
        dispatched = [item for item in row.in_order() if item.position < until][-PICTURES_SCAN:]
        found = []
        for item in dispatched:
            staged, at = row.staged.get(item.key), item.settled_at
            if staged is None or at is None or item.state is not ItemState.DONE:
                continue
            if staged.media_type.startswith("image/") and (after is None or at > after):
                picture = AcquiredPicture(
                    item.key,
                    item.url,
                    staged.media_type,
                    staged.width,
                    staged.height,
                    staged.sha256,
                    at,
                )
                found.append((at, item.position, picture))
        return [picture for *_, picture in sorted(found, reverse=True, key=lambda each: each[:2])][
            :limit
        ]

    @override
    async def content(self, run_id: UUID, key: bytes) -> bytes | None:
        row = self._state.runs.get(run_id)
        if row is None:
            return None
        if key in row.staged:
            return row.staged[key].sha256
        return row.assets[key].staged.sha256 if key in row.assets else None
