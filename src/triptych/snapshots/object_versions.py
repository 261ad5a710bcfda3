"""The port ObjectVersions: earlier versions of objects, which some stores keep for a while."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A version that has the bytes that were looked for."""

    body: bytes
    written_at: datetime
    """By the store's clock."""


class ObjectVersions(Protocol):
    """Earlier versions of objects, of deleted ones, too."""

    async def find(self, key: str, *, sha256: bytes, sizes: Collection[int]) -> FoundVersion | None:
        """Return the newest version that has this hash, and one of these sizes in bytes, or None.

        Raises:
            StoreUnavailable: the versions cannot be read; with the remedy.
        """
        ...
