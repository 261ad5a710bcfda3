"""API keys and shared secrets on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg
from typing_extensions import override

from triptych.access.access_store import AccessStore, ApiKey, Scope
from triptych.database.session import Database
from triptych.errors import KeyExists, KeyNotFound


class PostgresAccessStore(AccessStore):
    """`AccessStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def create_key(
        self,
        name: str,
        scope: Scope,
        digest: bytes,
        *,
        expires_at: datetime | None = None,
        brands: frozenset[str] | None = None,
    ) -> ApiKey:
        only = None if brands is None else sorted(brands)
        rows = await self._database.rows("insert_key", name, scope.value, digest, expires_at, only)
        if not rows:
            raise KeyExists(
                f"There is, or was, a key {name!r}.",
                remedy="Choose another name: audit events identify keys by their names.",
            )
        return _to_key(rows[0])

    @override
    async def live_keys(self, *, limit: int) -> Sequence[ApiKey]:
        return [_to_key(row) for row in await self._database.rows("live_keys", limit)]

    @override
    async def keys(self) -> Sequence[ApiKey]:
        return [_to_key(row) for row in await self._database.rows("keys")]

    @override
    async def revoke_key(self, name: str) -> ApiKey:
        rows = await self._database.rows("revoke_key", name)
        if not rows:
            raise KeyNotFound(
                f"There is no live key {name!r}.", remedy="`triptych keys list` lists them."
            )
        return _to_key(rows[0])

    @override
    async def secret(self, name: str) -> bytes:
        rows = await self._database.rows("secret", name)
        value: bytes = rows[0]["value"]
        return value


def _to_key(row: asyncpg.Record) -> ApiKey:
    return ApiKey(
        row["name"],
        Scope(row["scope"]),
        row["digest"],
        row["created_at"],
        row["revoked_at"],
        row["expires_at"],
        None if row["brands"] is None else frozenset(row["brands"]),
    )
