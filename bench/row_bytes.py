"""Measure what a picture takes in the database: ``python -m bench.row_bytes [PICTURES]``.

The rows are written as a commit and the indexer leave them. scripts/row_bytes.py has the results,
from which scripts/cost.py computes.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from pgvector import HalfVector

from bench.ours.assets import begin_brand, copy_assets, end_brand
from triptych.database.migrate import migrate
from triptych.database.session import Database
from triptych.embedded.server import EmbeddedPostgres
from triptych.objects import object_key
from triptych.wiring.stores import postgres_stores
from triptych.workers.indexer import Indexer

DIMENSION = 1_280
BATCH = 1_000
URL_CHARS = 80
BRAND = "nike"
MODEL = "efficientnet-lite0"


@dataclass(frozen=True)
class RowBytes:
    """Bytes of one picture, with the indexes of its tables."""

    asset: float
    searchable: float
    index: float


async def row_bytes(database: Database, count: int) -> RowBytes:
    """Fill an empty, migrated database with so many pictures of one brand, and measure."""
    stores = postgres_stores(database, run_cap_s=3600)
    run_id, random = uuid4(), np.random.default_rng(1)

    def rows(start: int) -> Iterator[tuple[object, ...]]:
        for at in range(start, min(start + BATCH, count)):
            sha256 = random.bytes(32)
            url = f"https://pictures.example/catalogue/{at}/".ljust(URL_CHARS - 4, "x") + ".jpg"
            vector = random.normal(size=DIMENSION)
            what = (run_id, random.bytes(16), BRAND, url, sha256, object_key(sha256), "image/jpeg")
            seen = (150_000, 1_200, 900, int(random.integers(-(2**63), 2**63)), MODEL)
            shown = {"alt": f"A picture of shoe {at}", "page": f"https://shop.example/shoes/{at}"}
            yield (*what, *seen, HalfVector(vector / np.linalg.norm(vector)), shown)

    await begin_brand(database, BRAND, run_id, count)
    for start in range(0, count, BATCH):
        await copy_assets(database, rows(start))
    await end_brand(database, BRAND, run_id)
    await Indexer(stores.search).catch_up()
    await database.fetch("vacuum assets, searchable")
    (sizes,) = await database.fetch(
        "select pg_total_relation_size('assets') as assets,"
        " pg_total_relation_size('searchable') as searchable,"
        " (select sum(pg_relation_size(i.indexrelid)) from pg_index i join pg_class c on"
        "  c.oid = i.indexrelid join pg_am a on a.oid = c.relam where a.amname = 'hnsw')::bigint"
        " as graph"
    )
    await stores.close()
    return RowBytes(
        sizes["assets"] / count,
        (sizes["searchable"] - sizes["graph"]) / count,
        sizes["graph"] / count,
    )


async def main(count: int) -> None:
    """Print the bytes of a picture."""
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedPostgres(Path(folder), extra={"fsync": "off"}) as server:
            database = Database(server.dsn)
            await migrate(database)
            found = await row_bytes(database, count)
    print(
        f"{count:,} pictures: {found.asset:,.0f} bytes of assets, {found.searchable:,.0f} of"
        f" searchable, {found.index:,.0f} of its graph of neighbours"
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
