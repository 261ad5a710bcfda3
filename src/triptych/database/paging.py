"""Pages of a listing, read from rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import asyncpg

from triptych.model import Age, Slice

NEWEST = Age(datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))


LAST_ID = 2**63 - 1


T = TypeVar("T")


P = TypeVar("P")


def sliced(
    rows: Sequence[asyncpg.Record],
    limit: int,
    read: Callable[[asyncpg.Record], T],
    position: Callable[[asyncpg.Record], P],
) -> Slice[T, P]:
    """Return up to ``limit`` rows; one more row means that the listing continues."""
    return Slice(
        [read(row) for row in rows[:limit]],
        position(rows[limit - 1]) if len(rows) > limit else None,
    )


def age_of(row: asyncpg.Record) -> Age:
    """Return a row's position in a listing from the newest to the oldest."""
    return Age(row["created_at"], row["id"])
