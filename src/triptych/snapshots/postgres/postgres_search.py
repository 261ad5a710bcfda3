"""Search by vector on Postgres with pgvector: exact in a snapshot, by HNSW across brands.

HNSW: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
Hierarchical Navigable Small World graphs", 2016. Filters are applied during the index scan:
pgvector (0.8 and later) continues until enough entries pass them ("iterative scans").
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import asyncpg
import numpy as np
import structlog
from pgvector import HalfVector
from typing_extensions import override

from triptych.database.rows import to_asset
from triptych.database.session import COMMIT_TIMEOUT_S, Database, Transaction
from triptych.database.statements import statements
from triptych.errors import BadInput, DatabaseUnavailable, SchemaBehind, SearchUnavailable
from triptych.features.picture_text import TEXT
from triptych.model import KEY_BYTES
from triptych.snapshots.postgres.asset_filter import condition
from triptych.snapshots.postgres.postgres_snapshots import check_kept
from triptych.snapshots.search_store import (
    Centre,
    Hit,
    Hits,
    IndexLag,
    Nearest,
    Points,
    Sample,
    SearchStore,
    Shared,
    Vector,
    WordHit,
    Words,
)
from triptych.snapshots.snapshot_store import AssetFilter, no_such_asset

INDEXED_DIMENSIONS_MAX = 4_000
"""pgvector's limit for halfvec. Longer vectors are searched without an index, exactly."""
EF_SEARCH_MIN = 100
EF_SEARCH_MAX = 1_000
"""HNSW's candidate list: at least twice the wanted number, within pgvector's range."""
SCAN_MAX = 10_000
"""Entries that one index scan reads at most. If a filter passes so few of them, a search without
the index is quicker."""
SOON_S = 0.001
"""The shortest deadline there is."""
SAMPLE_SCAN = 4
"""Assets read for each embedding of a sample: some may have none."""
BRANDS_AT_ONCE = 100
"""Brands that one transaction indexes at most: all brands are read to find those that are behind,
so that one at a time would read them as often as there are brands."""
INDEXER_LOCK = 0x7472697365617263
"""``trisearc`` in ASCII: the advisory lock of the active indexer."""

log = structlog.get_logger(__name__)


class PostgresSearchStore(SearchStore):
    """`SearchStore` on Postgres."""

    def __init__(self, database: Database, *, replica: Database | None = None) -> None:
        self._database = database
        self._replica = replica

    @override
    async def nearest_in(self, run_id: UUID, wanted: Nearest) -> Hits:
        without = wanted.without[1] if wanted.without else None
        args = [run_id, wanted.model, HalfVector(wanted.vector), without, wanted.limit]
        where = condition(wanted.matching, after=len(args))
        sql = where.within(statements()["nearest_in_snapshot"])
        rows = await self._search(sql, [*args, *where.values], wanted)
        if not rows:
            await check_kept(self._database, run_id)
        return Hits([_to_hit(row) for row in rows], exact=True)

    @override
    async def nearest_anywhere(self, wanted: Nearest) -> Hits:
        """Return the nearest assets in the current snapshots of all brands.

        If the index scan finds too few, because few entries pass the filters, the search is
        repeated without the index.
        """
        ends = time.monotonic() + wanted.deadline_s
        spaces = await self._database.rows("space_of", wanted.model)
        if not spaces:
            return Hits([], exact=True)
        space, dimension = int(spaces[0]["id"]), int(spaces[0]["dimension"])
        if wanted.vector.size != dimension:
            raise BadInput(
                f"It has {wanted.vector.size} numbers, but {wanted.model} has {dimension}.",
                field="vector",
                remedy="Embed the query with the same model.",
            )
        brand, key = wanted.without or (None, None)
        args = [HalfVector(wanted.vector), wanted.model, brand, key, wanted.limit]
        where = condition(wanted.matching, after=len(args))
        args += where.values
        sql = where.within(statements()["nearest_anywhere"])
        sql = sql.replace(":space", str(space)).replace(":dimension", str(dimension))
        walked, looked = sql.replace(":exactly", ""), sql.replace(":exactly", " + 0")
        exact = dimension > INDEXED_DIMENSIONS_MAX
        rows = await self._search(looked if exact else walked, args, wanted, walk=not exact)
        if not exact and len(rows) < wanted.limit and wanted.matching != AssetFilter():
            left_s = max(ends - time.monotonic(), SOON_S)
            with suppress(SearchUnavailable):  # What the index scan found is better than nothing.
                rows = await self._search(looked, args, replace(wanted, deadline_s=left_s))
                exact = True
        return Hits([_to_hit(row) for row in rows], exact=exact)

    @override
    async def with_words(self, run_id: UUID | None, wanted: Words) -> Sequence[WordHit]:
        numbers = [number for number, texts in enumerate(wanted.needles) for _ in texts]
        needles = [text for texts in wanted.needles for text in texts]
        vector = None if wanted.vector is None else HalfVector(wanted.vector)
        args = [run_id, wanted.model, numbers, needles, wanted.limit, vector]
        args += [TEXT.name, TEXT.version]
        where = condition(wanted.matching, after=len(args))
        sql = where.within(statements()["with_words"])
        limits = (f"{wanted.deadline_s * 1000:.0f}", str(EF_SEARCH_MIN), str(SCAN_MAX), "on")
        try:
            async with self._database.connection() as connection, connection.transaction():
                await connection.fetch(statements()["search_limits"], *limits)
                rows = await _fetch(connection, sql, [*args, *where.values], wanted.deadline_s)
        except SchemaBehind as error:
            # The content is searched all the same, and the answer says that words were not.
            raise SearchUnavailable(error.message, remedy=error.remedy) from error
        return [
            WordHit(
                to_asset(row),
                row["tags"] or (),
                _cosine(row["similarity"]),
                row["duplicates"],
                row["seen"] or "",
            )
            for row in rows
        ]

    async def _search(
        self, sql: str, args: Sequence[object], wanted: Nearest, *, walk: bool = False
    ) -> list[asyncpg.Record]:
        """Run a search within its deadline; with ``walk`` along the index, otherwise without it.

        If the replica lags behind or does not answer, the primary is asked.
        """
        if self._replica is not None:
            try:
                if rows := await self._search_on(self._replica, sql, args, wanted, walk=walk):
                    return rows
            except (DatabaseUnavailable, asyncpg.UndefinedTableError) as error:
                log.warning("replica_passed_over", error=str(error))
        return await self._search_on(self._database, sql, args, wanted, walk=walk)

    async def _search_on(
        self,
        database: Database,
        sql: str,
        args: Sequence[object],
        wanted: Nearest,
        *,
        walk: bool,
    ) -> list[asyncpg.Record]:
        ef_search = min(max(EF_SEARCH_MIN, 2 * wanted.limit), EF_SEARCH_MAX)
        limits = (f"{wanted.deadline_s * 1000:.0f}", str(ef_search), str(SCAN_MAX))
        async with database.connection() as connection, connection.transaction():
            await connection.fetch(statements()["search_limits"], *limits, "off" if walk else "on")
            return await _fetch(connection, sql, args, wanted.deadline_s)

    @override
    async def embedding_of(
        self, brand: str, key: bytes, *, run_id: UUID | None = None
    ) -> tuple[str, Vector] | None:
        if run_id is None:
            rows = await self._database.rows("embedding_of", brand, key)
        else:
            rows = await self._database.rows("embedding_of_run", brand, key, run_id)
            if not rows:
                await check_kept(self._database, run_id)
        if not rows:
            raise no_such_asset(brand)
        model, embedding = rows[0]["model"], rows[0]["embedding"]
        return None if model is None or embedding is None else (model, embedding)

    @override
    async def models_of(self, run_id: UUID) -> Sequence[str]:
        return [row["model"] for row in await self._database.rows("models_of", run_id)]

    @override
    async def models(self) -> Sequence[str]:
        return [row["model"] for row in await self._database.rows("all_spaces")]

    @override
    async def unindexed_brands(self) -> int:
        return int((await self._database.rows("unindexed_brands"))[0]["brands"])

    @override
    async def mapped_at(self, run_id: UUID) -> datetime | None:
        at: datetime | None = (await self._database.rows("mapped_at", run_id))[0]["at"]
        return at

    @override
    async def points(self, run_id: UUID, *, limit: int) -> Points:
        row = (await self._database.rows("points", run_id, limit))[0]
        if row["keys"] is None:
            nothing = np.empty(0, np.float32)
            keys = np.empty((0, KEY_BYTES), np.uint8)
            return Points(keys, nothing, nothing, np.empty(0, np.int32), [])
        return Points(
            np.frombuffer(row["keys"], np.uint8).reshape(-1, KEY_BYTES),
            np.frombuffer(row["x"], ">f4").astype(np.float32),
            np.frombuffer(row["y"], ">f4").astype(np.float32),
            np.frombuffer(row["clusters"], ">i4").astype(np.int32),
            list(row["names"]),
        )

    @override
    async def sample(self, run_id: UUID, *, limit: int) -> Sample:
        rows = await self._database.rows("sample", run_id, limit, SAMPLE_SCAN * limit)
        return Sample(
            [row["key"] for row in rows],
            [row["sha256"] for row in rows],
            [row["model"] for row in rows],
            [row["phash"] for row in rows],
            [row["embedding"] for row in rows],
        )

    @override
    async def centres(
        self, run_ids: Sequence[UUID], *, limit: int
    ) -> Mapping[UUID, Sequence[Centre]]:
        rows = await self._database.rows("centres", list(run_ids), limit, SAMPLE_SCAN * limit)
        found: dict[UUID, list[Centre]] = {}
        for row in rows:
            centre = Centre(row["model"], row["embeddings"], np.array(row["centre"], np.float32))
            found.setdefault(row["run_id"], []).append(centre)
        return found

    @override
    async def snapshots(
        self, *, besides: str, limit: int
    ) -> tuple[Sequence[tuple[str, UUID]], int]:
        rows = await self._database.rows("snapshots_besides", besides, limit)
        total = int(rows[0]["total"]) if rows else 0
        return [(row["name"], row["current_run"]) for row in rows], total

    @override
    async def shared(self, one: UUID, other: UUID, *, limit: int, deadline_s: float) -> Shared:
        limits = (f"{deadline_s * 1000:.0f}", str(EF_SEARCH_MIN), str(SCAN_MAX), "on")
        async with self._database.connection() as connection, connection.transaction():
            await connection.fetch(statements()["search_limits"], *limits)
            rows = await _fetch(connection, statements()["shared"], [one, other, limit], deadline_s)
        count = int(rows[0]["shared"]) if rows else 0
        return Shared(count, [(row["one"], row["other"]) for row in rows])

    @override
    async def index_lag(self) -> IndexLag:
        found = (await self._database.rows("index_lag"))[0]
        return IndexLag(found["brands"], found["seconds"])

    @override
    async def index_some(self, *, limit: int) -> bool:

        async def work(tx: Transaction) -> bool:
            locked = await tx.row("one_indexer", INDEXER_LOCK)
            if locked is None or not locked["mine"]:
                return False
            left = limit
            behind = await tx.rows("next_to_index", BRANDS_AT_ONCE)
            for brand, run_id, after in behind:
                if run_id is None:
                    left -= await _forget(tx, brand, left)
                else:
                    left -= await _advance(tx, brand, run_id, after, left)
                if left <= 0:
                    break
            return bool(behind)

        return await self._database.transact(work)


async def _fetch(
    connection: asyncpg.Connection, sql: str, args: Sequence[object], deadline_s: float
) -> list[asyncpg.Record]:
    """Run a statement whose transaction has a deadline."""
    try:
        found: list[asyncpg.Record] = await connection.fetch(sql, *args)
    except asyncpg.QueryCanceledError as error:
        raise SearchUnavailable(
            f"The search took longer than {deadline_s:g} s.",
            remedy="Search in one brand, or with fewer filters.",
        ) from error
    return found


async def _advance(tx: Transaction, brand: str, run_id: UUID, after: bytes, limit: int) -> int:
    """Index one page of a snapshot, and remove entries that are no longer on it.

    Returns how many assets the page has.
    """
    for row in await tx.rows("models_to_index", run_id, after, limit):
        if await tx.row("space_of", row["model"]) is None:
            await _add_space(tx, row["model"], row["dimension"])
    page = await tx.row("page_to_index", run_id, after, limit)
    assert page is not None
    assets: int = page["assets"]
    end = page["last"] if assets == limit else None
    await tx.rows("index_page", brand, run_id, after, limit, timeout_s=COMMIT_TIMEOUT_S)
    await tx.rows("unindex_page", brand, run_id, after, end, timeout_s=COMMIT_TIMEOUT_S)
    await tx.rows("note_indexed", brand, run_id, end)
    return assets


async def _add_space(tx: Transaction, model: str, dimension: int) -> None:
    """Add a model, and create its index while it is empty."""
    added = await tx.row("add_space", model, dimension)
    assert added is not None
    if dimension <= INDEXED_DIMENSIONS_MAX:
        await tx.rows_of(
            statements()["index_space"]
            .replace(":space", str(int(added["id"])))
            .replace(":dimension", str(int(dimension))),
            timeout_s=COMMIT_TIMEOUT_S,
        )


async def _forget(tx: Transaction, brand: str, limit: int) -> int:
    """Remove entries of a brand that no longer has a snapshot, and return how many."""
    row = await tx.row("unindex_brand", brand, limit, timeout_s=COMMIT_TIMEOUT_S)
    assert row is not None
    removed: int = row["removed"]
    if removed < limit:
        await tx.rows("forget_indexed", brand)
    return removed


def _to_hit(row: asyncpg.Record) -> Hit:
    similarity = _cosine(row["similarity"])
    assert similarity is not None
    return Hit(to_asset(row), similarity, row["duplicates"])


def _cosine(product: float | None) -> float | None:
    # In half precision a unit vector does not have exactly length 1.
    return None if product is None else min(1.0, max(-1.0, float(product)))
