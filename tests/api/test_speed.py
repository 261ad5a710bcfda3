"""Immediate reads on 100,000 assets: plans, and speed beside a bare route with the same SQL."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.api_server import Api, serving
from triptych.database.paging import LAST_ID, NEWEST
from triptych.database.session import Database
from triptych.database.statements import statements
from triptych.model import RunState
from triptych.runs.brand_store import BRANDS_SCAN
from triptych.runs.postgres.postgres_runs import ITEMS_SCAN
from triptych.runs.postgres.run_listing import OLDEST_AT
from triptych.runtime.asgi_server import address, bind, serve
from triptych.snapshots.asset_ids import asset_id
from triptych.snapshots.postgres.asset_filter import condition
from triptych.snapshots.postgres.postgres_snapshots import DIFFERENCE_SCAN
from triptych.snapshots.snapshot_store import ASSETS_SCAN, AssetFilter

ASSETS = 100_000
BRANDS = 200
ROUNDS = 8
REQUESTS = 25
PAGE = 50
SLOWER_AT_MOST = 2.5
"""What the test holds: the aim is 1.5 on a quiet machine; this one is shared."""


async def fill(database: Database, run_id: UUID) -> None:
    """A brand of 100,000 assets, and others with a run each."""
    await database.fetch("insert into brands (name) values ('nike')")
    await database.fetch(
        "insert into runs (id, brand, kind, state, tolerated_failures, max_attempts, deadline_s,"
        " deadline_at, sealed, added, kept, changed, removed, ended_at)"
        " values ($1, 'nike', 'full', 'committed', 0.5, 5, 60, now(), true, $2, 0, 0, 0, now())",
        run_id,
        ASSETS,
    )
    await database.fetch(
        "insert into assets (run_id, key, brand, url, sha256, object_key, media_type, size_bytes,"
        " width, height, phash, model, metadata, colours)"
        " select $1, substr(sha256(n::text::bytea), 1, 16), 'nike', 'https://x.example/' || n,"
        " sha256(n::text::bytea), 'sha256/' || n, 'image/png', n, 4, 3, n, 'm',"
        " jsonb_build_object('alt', 'picture ' || n), '[[\"#00ff7f\", 1.0]]'"
        " from generate_series(1, $2) n",
        run_id,
        ASSETS,
    )
    await database.fetch(
        "insert into items (run_id, key, position, url, metadata, state, reason)"
        " select $1, substr(sha256(n::text::bytea), 1, 16), n, 'https://x.example/' || n, '{}',"
        " case when n % 50 = 0 then 'failed' else 'done' end,"
        " case when n % 50 = 0 then 'not_found' end from generate_series(1, $2) n",
        run_id,
        ASSETS,
    )
    await database.fetch(
        "insert into marks (run_id, key, x, y, cluster) select run_id, key, random(), random(),"
        " 'c' || width * size_bytes % 7 from assets where run_id = $1",
        run_id,
    )
    await database.fetch(
        "insert into brands (name) select 'brand ' || n from generate_series(1, $1) n", BRANDS
    )
    await database.fetch(
        "insert into runs (id, brand, kind, state, tolerated_failures, max_attempts, deadline_s,"
        " deadline_at) select gen_random_uuid(), 'brand ' || n, 'full', 'failed', 0.5, 5, 60,"
        " now() from generate_series(1, $1) n, generate_series(1, 20)",
        BRANDS,
    )
    await database.fetch("update brands set current_run = $1 where name = 'nike'", run_id)
    await database.fetch("analyze")


@pytest.fixture
async def filled(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[tuple[Api, Database, UUID]]:
    run_id = uuid4()
    database = Database(migrated_dsn)
    await fill(database, run_id)
    async with serving(migrated_dsn, tmp_path) as api:
        yield api, database, run_id
    await database.close()


@pytest.mark.prove
async def test_every_page_reads_a_range_of_an_index(
    filled: tuple[Api, Database, UUID],
) -> None:
    _, database, run_id = filled
    since = NEWEST
    runs_of_any = [[state.value for state in RunState], None, OLDEST_AT, False]
    cases: dict[str, list[Any]] = {
        "brands_page": ["", None, None, BRANDS_SCAN, PAGE, None],
        "brand_page": ["nike"],
        "assets_page": [run_id, b"", ASSETS_SCAN, PAGE],
        "assets_page_marked": [run_id, b"", ASSETS_SCAN, PAGE],
        "embedding_of": ["nike", b"k"],
        "embedding_of_run": ["nike", b"k", run_id],
        "points": [run_id, ASSETS],
        "sample": [run_id, 2_000, 8_000],
        "assets_scanned_to": [run_id, b"", ASSETS_SCAN],
        "asset": ["nike", b"k"],
        "asset_of_run": ["nike", b"k", run_id],
        "snapshots_page": ["nike", since.at, since.id, PAGE],
        "difference_page": [run_id, run_id, b"", DIFFERENCE_SCAN, PAGE, None],
        "runs_listed": [since.at, since.id, PAGE, *runs_of_any],
        "runs_listed_of_brand": [since.at, since.id, PAGE, *runs_of_any, "nike"],
        "failed_items": [run_id, -1, ITEMS_SCAN, PAGE, "not_found"],
        "timeline": [run_id, 0, PAGE],
        "dead_letters_page": [LAST_ID, PAGE],
    }
    for name, args in cases.items():
        filtered = name == "assets_page_marked"
        where = condition(AssetFilter(tag="shoe") if filtered else AssetFilter(), after=len(args))
        explained = f"explain {where.within(statements()[name])}"
        rows = await database.fetch(explained, *args, *where.values)
        plan = "\n".join(row[0] for row in rows)
        for table in ("assets", "items", "runs", "marks"):
            assert f"Seq Scan on {table}" not in plan, f"{name}\n{plan}"


@pytest.mark.prove
async def test_a_map_of_100_000_points_is_sent_whole_and_once(
    filled: tuple[Api, Database, UUID],
) -> None:
    api, database, run_id = filled
    await database.fetch(
        "insert into insights (run_id, kind, result, seconds) values ($1, 'map', '{}', 0)", run_id
    )
    started = time.perf_counter()
    answer = await api.get("/brands/nike/map")
    seconds = time.perf_counter() - started
    names = b'["c0","c1","c2","c3","c4","c5","c6"]'
    assert len(answer.body) == 32 + 28 * ASSETS + len(names)
    assert answer.body.endswith(names)
    started = time.perf_counter()
    etag = {"If-None-Match": answer.headers["ETag"]}
    again = await api.get("/brands/nike/map", headers=etag)
    again_s = time.perf_counter() - started
    assert (again.status, again.body) == (304, b"")
    print(f"\nmap of {ASSETS:,}: {seconds * 1000:.0f} ms; unchanged: {again_s * 1000:.1f} ms")


@dataclass(frozen=True)
class Case:
    what: str
    path: str
    bare: Callable[[Database], Awaitable[Any]]


@asynccontextmanager
async def bare_server(database: Database, cases: list[Case]) -> AsyncIterator[str]:
    """The least that could answer: a route, the same statements, one encoding."""

    def route(case: Case) -> Route:
        async def answer(_: Request) -> Response:
            rows = await case.bare(database)
            body = orjson.dumps([dict(row) for row in rows], default=_plain)
            return Response(body, media_type="application/json")

        return Route(case.path.partition("?")[0], answer)

    stop, listening = asyncio.Event(), bind("127.0.0.1", 0)
    app = Starlette(routes=[route(case) for case in cases])
    task = asyncio.create_task(serve(app, listening, stop, drain_s=5))
    yield address(listening)
    stop.set()
    await task
    listening.close()


def _plain(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


@pytest.mark.prove
async def test_reads_keep_up_with_a_bare_route_of_the_same_sql(
    filled: tuple[Api, Database, UUID],
) -> None:
    api, database, run_id = filled
    key = (await database.fetch("select key from assets limit 1"))[0]["key"]

    async def assets(db: Database) -> Any:
        await db.rows("current_run_of", "nike")
        page = condition(AssetFilter(), after=4).within(statements()["assets_page"])
        return await db.fetch(page, run_id, b"", ASSETS_SCAN, PAGE + 1)

    async def brands(db: Database) -> Any:
        return await db.rows("brands_page", "", None, None, BRANDS_SCAN, PAGE + 1, None)

    async def one(db: Database) -> Any:
        found = await db.rows("asset", "nike", key)
        marks = await db.rows("marks_by_key", found[0]["run_id"], [key])
        return [*found, *marks]

    cases = [
        Case("brand list", "/brands", brands),
        Case("asset page", "/brands/nike/assets", assets),
        Case("one asset", f"/assets/{asset_id('nike', key)}", one),
    ]
    async with bare_server(database, cases) as bare:
        for case in cases:
            ours, theirs = [], []
            for _ in range(ROUNDS):
                ours += await timed(api, f"{api.url}/api/v1{case.path}")
                theirs += await timed(api, f"{bare}{case.path}")
            ratio = statistics.median(ours) / statistics.median(theirs)
            print(
                f"\n{case.what}: p50 {ms(ours, 50)} ms, p99 {ms(ours, 99)} ms,"
                f" {len(ours) / sum(ours):.0f}/s; bare p50 {ms(theirs, 50)} ms,"
                f" p99 {ms(theirs, 99)} ms, {len(theirs) / sum(theirs):.0f}/s; ratio {ratio:.2f}"
            )
            assert ratio < SLOWER_AT_MOST, case.what


def ms(seconds: list[float], percentile: int) -> str:
    return f"{statistics.quantiles(seconds, n=100)[percentile - 1] * 1000:.2f}"


async def timed(api: Api, url: str) -> list[float]:
    """Return the seconds of some requests, one after the other."""
    found = []
    for _ in range(REQUESTS):
        start = time.perf_counter()
        async with api.session.get(url) as response:
            await response.read()
        found.append(time.perf_counter() - start)
        assert response.status == 200
    return found
