"""The port StoredRows: every row that names an object, in the order of the objects' keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredRow:
    """Where an object is used: rows of the same brand, URL and size are one, in all snapshots."""

    object_key: str
    brand: str
    url: str
    size_bytes: int
    media_type: str
    source: str | None
    """The brand's: it selects the request profile of its URLs."""


class RowPages(Protocol):
    """The rows as they were at one moment. For one reader at a time."""

    def objects(
        self, low: str, high: str, *, batch: int
    ) -> AsyncIterator[Sequence[Sequence[StoredRow]]]:
        """Yield the rows of each object whose key is in [low, high), ``batch`` objects at a time.

        Of an object at most `ROWS_SHOWN_MAX` rows are yielded.
        """
        ...

    async def waiting(self, keys: Sequence[str]) -> frozenset[str]:
        """Return which of these objects the collector is going to delete."""
        ...

    async def named(self, keys: Sequence[str]) -> frozenset[str]:
        """Return which of these objects a row names now. It reads all rows."""
        ...


class StoredRows(Protocol):
    """Every row that names an object: assets of all snapshots, and staged items."""

    def open(self, brands: Sequence[str]) -> AbstractAsyncContextManager[RowPages]:
        """Copy the rows of these brands, or of all if there is none, and lend the copy.

        The copy is on the database's disk, a few hundred bytes a row, until the block ends.
        """
        ...


ROWS_SHOWN_MAX = 20
"""Rows of one object that are looked at: a placeholder may have a hundred thousand."""
