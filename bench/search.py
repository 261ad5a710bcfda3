"""How quick search is, and how quickly the index across brands follows.

``python -m bench.search N`` fills an embedded Postgres with one brand of N assets (vectors in half
precision around 300 centres), lets the indexer go through it, and prints medians of searches with
and without filters, in the brand and across brands, and the index's recall@10 beside the exact
answers.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import numpy.typing as npt
from pgvector import HalfVector

from bench.ours.assets import begin_brand, copy_assets, end_brand
from triptych.database.migrate import migrate
from triptych.database.session import Database
from triptych.embedded.server import EmbeddedPostgres
from triptych.snapshots.search_store import Hits, Nearest
from triptych.snapshots.snapshot_store import AssetFilter
from triptych.wiring.stores import Stores, postgres_stores
from triptych.workers.indexer import Indexer

DIMENSION = 1_280
CENTRES = 300
RANK = 64
SPREAD = 0.5
BATCH = 5_000
ROUNDS = 9
QUERIES = 30
HITS = 10
DEADLINE_S = 60.0
MODEL = "m"
BRAND = "nike"
FILTERS = {
    "no filter": AssetFilter(),
    "a tag of 1 in 256": AssetFilter(tag="rare"),
    "a cluster of 1 in 256": AssetFilter(cluster="c7"),
    "a word of 1 in 10 URLs": AssetFilter(text="/1"),
}


class Vectors:
    """Unit vectors around centres, on a few directions."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._basis = self._random.normal(size=(RANK, DIMENSION)).astype(np.float32)
        self._centres = self._random.normal(size=(CENTRES, RANK)).astype(np.float32)

    def draw(self, count: int) -> npt.NDArray[np.float32]:
        """Return ``count`` more."""
        near = self._centres[self._random.integers(0, CENTRES, count)]
        spread = SPREAD * self._random.normal(size=(count, RANK))
        vectors = (near + spread) @ self._basis
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


async def fill(database: Database, vectors: Vectors, count: int) -> UUID:
    """Commit one brand, without going through a run, and mark its assets."""
    run_id, random = uuid4(), np.random.default_rng(1)

    def rows(start: int) -> Iterator[tuple[object, ...]]:
        for at, vector in enumerate(vectors.draw(min(BATCH, count - start)), start=start):
            what = (run_id, random.bytes(16), BRAND, f"https://x.example/{at}", random.bytes(32))
            kind = ("sha256/x", "image/png", 1, 4, 3, 1)
            yield (*what, *kind, MODEL, HalfVector(vector), {"alt": f"picture {at}"})

    await begin_brand(database, BRAND, run_id, count)
    for start in range(0, count, BATCH):
        await copy_assets(database, rows(start))
    await end_brand(database, BRAND, run_id)
    await database.fetch(
        "insert into marks (run_id, key, tags, cluster) select run_id, key,"
        " case when get_byte(key, 0) = 0 then array['rare'] end, 'c' || get_byte(key, 1)"
        " from assets"
    )
    return run_id


async def measure(stores: Stores, run_id: UUID, vectors: Vectors) -> None:
    """Print the medians, and the recall."""
    transports: dict[str, Callable[[Nearest], Awaitable[Hits]]] = {
        "in the brand": partial(stores.search.nearest_in, run_id),
        "across brands": stores.search.nearest_anywhere,
    }
    for what, matching in FILTERS.items():
        seconds: dict[str, list[float]] = {where: [] for where in transports}
        for vector in vectors.draw(ROUNDS):
            for where, nearest in transports.items():
                begun = time.perf_counter()
                await nearest(Nearest(MODEL, vector, HITS, DEADLINE_S, matching))
                seconds[where].append(time.perf_counter() - begun)
        medians = {where: statistics.median(taken) for where, taken in seconds.items()}
        print(f"{what}: " + ", ".join(f"{where} {s * 1e3:.0f} ms" for where, s in medians.items()))
    found = 0
    for vector in vectors.draw(QUERIES):
        answers = [
            await each(Nearest(MODEL, vector, HITS, DEADLINE_S)) for each in transports.values()
        ]
        exact, walked = ({hit.asset.key for hit in answer.rows} for answer in answers)
        found += len(exact & walked)
    print(f"recall@{HITS} of the index: {found / (QUERIES * HITS):.3f}")


async def main(count: int) -> None:
    """Fill, index, measure."""
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedPostgres(Path(folder), extra={"fsync": "off"}) as server:
            database = Database(server.dsn)
            await migrate(database)
            stores = postgres_stores(database, run_cap_s=3600)
            vectors = Vectors()
            run_id = await fill(database, vectors, count)
            begun = time.perf_counter()
            await Indexer(stores.search).catch_up()
            print(f"{count:,} assets, entered at {count / (time.perf_counter() - begun):.0f}/s")
            await database.fetch("analyze")
            await measure(stores, run_id, vectors)
            await stores.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
