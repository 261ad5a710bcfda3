"""Brands, their sources and schedules on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from typing_extensions import override

from triptych.database.rows import brand_not_found, to_brand
from triptych.database.session import Database, Transaction
from triptych.errors import Conflict
from triptych.model import Brand, RunState, Slice
from triptych.runs.brand_store import BRANDS_SCAN, TRUSTED_MAX, BrandStore, DueBrand, digest_of
from triptych.runs.given_urls import UNUSED_S, GivenUrl, decode_urls, encode_urls, source_of
from triptych.runs.postgres.sealed_sources import SealedSources
from triptych.runs.run_shown import BrandShown


class PostgresBrandStore(BrandStore):
    """`BrandStore` on Postgres."""

    def __init__(self, database: Database, sources: SealedSources) -> None:
        self._database = database
        self._sources = sources

    @override
    async def brands(self) -> Sequence[Brand]:
        return [to_brand(row) for row in await self._database.rows("brands", None, None)]

    @override
    async def brand(self, name: str) -> Brand:
        found = await self.brands_of([name], [])
        if not found:
            raise brand_not_found(name)
        return found[0]

    @override
    async def brands_of(self, names: Sequence[str], run_ids: Sequence[UUID]) -> Sequence[Brand]:
        return [
            to_brand(row) for row in await self._database.rows("brands", list(names), list(run_ids))
        ]

    @override
    async def brands_slice(
        self,
        *,
        after: str,
        name: str | None,
        state: RunState | None,
        limit: int,
        among: frozenset[str] | None = None,
    ) -> Slice[BrandShown, str]:
        wanted = state.value if state else None
        only = None if among is None else sorted(among)
        rows = await self._database.rows(
            "brands_page", after, name, wanted, BRANDS_SCAN, limit + 1, only
        )
        page = [_scheduled(row) for row in rows[:limit]]
        if len(rows) > limit:
            return Slice(page, page[-1].name)
        if name is None and wanted is None:
            return Slice(page, None)
        end = await self._database.rows("brands_scanned_to", after, BRANDS_SCAN - 1, only)
        return Slice(page, end[0]["name"] if end else None)

    @override
    async def scheduled(self, name: str) -> BrandShown:
        rows = await self._database.rows("brand_page", name)
        if not rows:
            raise brand_not_found(name)
        return _scheduled(rows[0])

    @override
    async def snapshot_of(self, brand: str) -> UUID | None:
        rows = await self._database.rows("current_run_of", brand)
        if not rows:
            raise brand_not_found(brand)
        run_id: UUID | None = rows[0]["current_run"]
        return run_id

    @override
    async def put_brand(
        self, name: str, *, source: str | None, schedule: str | None, due_at: datetime | None
    ) -> None:
        async def work(tx: Transaction) -> None:
            written = await self._sources.seal(tx, name, source)
            if not await tx.rows("put_brand", name, written, schedule, due_at):
                raise Conflict(
                    f"Brand {name!r} is being deleted.",
                    remedy="Try again when it has been deleted.",
                )
            await self._sources.drop_unused(tx, name)

        await self._database.transact(work)

    @override
    async def whole_source(self, brand: str, source: str | None) -> str | None:
        return await self._sources.whole(self._database, brand, source)

    @override
    async def keep_urls(self, brand: str, urls: Sequence[GivenUrl]) -> str:
        kept = encode_urls(urls)
        source = source_of(kept)

        async def work(tx: Transaction) -> None:
            await tx.rows("keep_urls", brand, source, kept)
            await tx.rows("drop_unused_urls", brand, UNUSED_S)

        await self._database.transact(work)
        return source

    @override
    async def kept_urls(self, brand: str, source: str) -> Sequence[GivenUrl] | None:
        rows = await self._database.rows("kept_urls", brand, source)
        return decode_urls(rows[0]["rows"]) if rows else None

    @override
    async def trust_source(self, brand: str, source: str) -> None:
        async def work(tx: Transaction) -> None:
            await tx.rows("trust_source", brand, digest_of(source))
            await tx.rows("drop_oldest_trust", brand, TRUSTED_MAX)

        await self._database.transact(work)

    @override
    async def is_trusted(self, brand: str, source: str) -> bool:
        return bool(await self._database.rows("is_trusted_source", brand, digest_of(source)))

    @override
    async def due_brands(self, *, limit: int) -> Sequence[DueBrand]:
        return [
            DueBrand(row["name"], row["schedule"], row["due_at"])
            for row in await self._database.rows("due_brands", limit)
        ]

    @override
    async def advance_schedule(self, name: str, *, seen: datetime, due_at: datetime | None) -> bool:
        return bool(await self._database.rows("advance_schedule", name, seen, due_at))

    @override
    async def begin_deletion(self, brand: str) -> None:
        if not await self._database.rows("begin_deletion", brand):
            raise brand_not_found(brand)


def _scheduled(row: asyncpg.Record) -> BrandShown:
    return BrandShown.of(to_brand(row), schedule=row["schedule"], due_at=row["due_at"])
