"""The port PictureStore: the pictures that a run has acquired, before its commit shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

PICTURES_SCAN = 2_000
"""Items that are looked at for the newest pictures: those that were dispatched last. Four dispatch
windows, so that of a run with a window of its own everything that is under way is among them."""


@dataclass(frozen=True, slots=True)
class AcquiredPicture:
    """A picture that a run has acquired and not committed yet."""

    key: bytes
    """Of its item."""
    url: str
    media_type: str
    width: int | None
    """In pixels, as `height`; None where they are not known."""
    height: int | None
    sha256: bytes
    acquired_at: datetime


class PictureStore(Protocol):
    """Reads what runs have staged. A call does a bounded amount of work, and takes no locks."""

    async def newest(
        self, run_id: UUID, *, after: datetime | None, limit: int
    ) -> Sequence[AcquiredPicture]:
        """Return the pictures that a run has acquired last, newest first.

        They are found among the `PICTURES_SCAN` items that were dispatched last, so that one which
        was dispatched long before, and was acquired only now, may be missing. A run that has
        committed, or was cancelled, has none.

        Args:
            run_id: whose; a run that does not exist has none.
            after: only those that were acquired later.
            limit: how many, at most.
        """
        ...

    async def content(self, run_id: UUID, key: bytes) -> bytes | None:
        """Return the SHA-256 of what a run has acquired for an item, also if it has committed.

        None if there is no such item, it is not acquired, or the snapshot is no longer kept.
        """
        ...
