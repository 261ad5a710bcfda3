"""Data folders of the commit before the new layout of the source open, and their work goes on.

``tests/data/schema_0018.sql`` and ``tests/data/folder_0018`` were made by that commit's own code.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from tests.support.embedded import ask
from tests.support.picture_server import picture
from tests.support.postgres import SUPERUSER, superuser_at
from tests.support.superuser_cluster import superuser_cluster
from tests.support.tiny_clip import clip
from tests.support.waiting import until
from triptych.database.migrate import migrate
from triptych.database.migration import migrations
from triptych.database.schema import check_schema
from triptych.database.session import Database
from triptych.embedded.cluster import ROLE
from triptych.embedded.data_folder import DataFolder

pytestmark = pytest.mark.integration

DATA = Path(__file__).resolve().parents[1] / "data"
SCHEMA = DATA / "schema_0018.sql"
FOLDER = DATA / "folder_0018"
NEWEST = "0018_letters_told"
"""The last migration of that commit."""

COMMITTED = "1e5ac402-aa90-445c-a06e-c3002b5a75ba"
UNDER_WAY = "586dff2a-b9dd-5943-8247-e73db769a7de"
EXPORT = "3d16d34a-132d-47da-b1da-dadde8dad6d4"
READER = "trk_1XK56H1xfQvpBffeW05erciNXXABEI4nY_6oTGqRxVU"
"""The token of the API key in it; it opens nothing else."""
SETTLED = 4
"""Pictures of the run under way that are settled; the others are out."""
PATIENCE_S = 120.0

AS_IF_JUST_KILLED = """
do $$
declare
    since interval := clock_timestamp() - interval '2 minutes' - max(at) from public.timeline;
    place record;
begin
    for place in
        select c.oid::regclass as name,
               string_agg(format('%1$I = %1$I + $1', a.attname), ', ') as moved
        from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relkind = 'r' and c.relnamespace in ('public'::regnamespace, 'pgmq'::regnamespace)
          and a.atttypid = 'timestamptz'::regtype and a.attnum > 0 and not a.attisdropped
        group by c.oid
    loop
        execute format('update %s set %s', place.name, place.moved) using since;
    end loop;
end
$$
"""
"""Moves all times, so that the folder was left two minutes ago: deadlines are ahead, and messages
that a killed worker held are visible again."""

SHAPE = """
select 'column', format('%s.%s %s %s %s', table_name, column_name, udt_name, is_nullable,
                        column_default)
from information_schema.columns where table_schema = 'public'
union all select 'index', indexdef from pg_indexes
where schemaname in ('public', 'pgmq') and indexname not like 'searchable_in_%'
union all select 'constraint', format('%s: %s', conrelid::regclass, pg_get_constraintdef(oid))
from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
union all select 'trigger', pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
union all select 'function', pg_get_functiondef(p.oid) from pg_proc p
where pronamespace = 'public'::regnamespace and not exists (
    select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
union all select 'queue', queue_name from pgmq.meta
union all select 'storage', format('%s %s', oid::regclass, reloptions)
from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
order by 1, 2
"""
"""All that a migration can make, but for the index of each model, which is made at run time."""


async def restore(dsn: str) -> None:
    """Make the older database, as if it had been left a moment ago; a superuser's address."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(SCHEMA.read_text(encoding="utf-8"))
        await connection.execute("set session_replication_role = replica")  # No triggers.
        await connection.execute((FOLDER / "rows.sql").read_text(encoding="utf-8"))
        await connection.execute(AS_IF_JUST_KILLED)
    finally:
        await connection.close()


async def shape(dsn: str) -> list[tuple[str, str]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(SHAPE)]
    finally:
        await connection.close()


async def test_an_older_database_is_brought_up_to_date_and_is_as_a_new_one(
    fresh_dsn: str, migrated_dsn: str
) -> None:
    await restore(superuser_at(fresh_dsn))
    await ask(superuser_at(fresh_dsn), f"reassign owned by {SUPERUSER} to {ROLE}")
    assert await ask(fresh_dsn, "select max(name) from schema_migrations") == NEWEST

    database = Database(fresh_dsn)
    try:
        applied = await migrate(database)
        # Long ones come after all others.
        assert sorted(applied) == [step.name for step in migrations() if step.name > NEWEST]
        await check_schema(database)
        assert await migrate(database) == []
    finally:
        await database.close()
    assert await shape(fresh_dsn) == await shape(migrated_dsn)


class Pictures:
    """A proxy that answers in the stead of the pictures' server, which is nowhere."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.asked: set[int] = set()
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.Response:
        found = re.search(r"/(\d+)\.png$", request.path)
        if found is None:
            return web.Response(status=404)
        await self.released.wait()
        number = int(found[1])
        self.asked.add(number)
        return web.Response(body=picture(number), content_type="image/png")


@pytest.fixture
async def pictures() -> AsyncIterator[Pictures]:
    made = Pictures()
    runner = web.ServerRunner(web.Server(made.answer), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def older(tmp_path: Path) -> Path:
    """A data folder as that commit's `triptych up` left it when it was killed."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    async with superuser_cluster(data) as server:
        await restore(server.dsn)
    shutil.copytree(FOLDER / "objects", data / "objects")
    # Signed by a process that is no more, and an address where nobody listens any more.
    (data / "lock").write_text("4194304\n__main__.py up --port 18329\n")
    (data / "lock").chmod(0o600)
    address = "postgresql://triptych@/triptych?host=/tmp/triptych-gone&port=5432\n"
    (data / "postgres.dsn").write_text(address)
    return data


@asynccontextmanager
async def up(data: Path, pictures: Pictures, model: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Run `triptych up` on a data folder; yield a session to its API."""
    environment = {
        **os.environ,
        "TRIPTYCH_DATA": str(data),
        "TRIPTYCH_EMBEDDER": str(model),
        "TRIPTYCH_FETCH_PROXY": pictures.url,
        "TRIPTYCH_FETCH_ALLOW": "127.0.0.0/8",
        "TRIPTYCH_WORKERS": "1",
        "TRIPTYCH_SWEEP_S": "1",
        "TRIPTYCH_DRAIN_S": "2",
    }
    command = [sys.executable, "-m", "triptych", "up", "--port", "0"]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=PIPE)
    assert process.stderr is not None
    try:
        told = (await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)).decode()
        assert "postgres_superuser_taken_away" in told
        told = (await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)).decode()
        while told.startswith("Migrating: "):
            told = (await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)).decode()
        found = re.search(r"API at (http://[^\s]+?)\.? ", told)
        assert found, told
        async with aiohttp.ClientSession(f"{found[1]}/") as session:
            yield session
    finally:
        if process.returncode is None:
            process.terminate()
        # Reads on: a full pipe would hold the process up.
        await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 0


async def got(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(path) as response:
        assert response.status == 200, (path, await response.text())
        return await response.json()


async def body_of(session: aiohttp.ClientSession, path: str) -> bytes:
    async with session.get(path) as response:
        assert response.status == 200, path
        return await response.read()


async def check_snapshot(session: aiohttp.ClientSession) -> None:
    """Read back what that commit had committed, while its second run is still under way."""
    brand = await got(session, "brands/nike")
    assert (brand["current_run"], brand["assets"]) == (COMMITTED, 6)
    assert brand["latest"]["id"] == UNDER_WAY
    assert (brand["latest"]["state"], brand["latest"]["done"]) == ("active", SETTLED)

    assets = (await got(session, "brands/nike/assets"))["items"]
    assert [asset["metadata"]["position"] for asset in sorted(assets, key=lambda a: a["url"])] == [
        *"012345"
    ]
    for asset in assets:
        stored = FOLDER / "objects" / "sha256" / asset["sha256"][:2] / asset["sha256"]
        assert await body_of(session, f"assets/{asset['id']}/content") == stored.read_bytes()

    insights = (await got(session, "brands/nike/insights"))["items"]
    assert {found["kind"] for found in insights} == {
        *("across", "clusters", "duplicates", "look", "map", "tags")
    }
    assert {found["error"] for found in insights} == {None}
    exported = FOLDER / "objects" / "exports" / EXPORT / "nike.csv"
    assert await body_of(session, f"tasks/{EXPORT}/files/nike.csv") == exported.read_bytes()


async def check_key(session: aiohttp.ClientSession) -> None:
    """Ask in the name of a key that was made then, and of one that was not."""
    for token, status in ((READER, 200), (READER[:-1], 401)):
        headers = {"Authorization": f"Bearer {token}"}
        async with session.get("me", headers=headers) as response:
            assert response.status == status
    headers = {"Authorization": f"Bearer {READER}"}
    async with session.post(f"runs/{UNDER_WAY}/cancel", headers=headers) as response:
        assert response.status == 403, "a reader still"


async def test_an_older_data_folder_opens_and_its_run_goes_on_to_its_commit(
    older: Path, pictures: Pictures, tmp_path: Path
) -> None:
    assert DataFolder(older).owner() is None
    async with up(older, pictures, clip(tmp_path / "clip")) as session:
        await check_snapshot(session)
        await check_key(session)

        pictures.released.set()
        run = await until(
            lambda: got(session, f"runs/{UNDER_WAY}"),
            lambda run: run["over"],
            patience_s=PATIENCE_S,
        )
        assert (run["state"], run["ai_state"]) == ("committed", "done")
        assert (run["expected"], run["done"], run["failed"]) == (8, 8, 0)
        assert (run["added"], run["kept"] + run["changed"], run["removed"]) == (2, 6, 0)
        assert pictures.asked == {4, 5, 6, 7}, "what was settled is not fetched again"

        brand = await got(session, "brands/nike")
        assert (brand["current_run"], brand["assets"]) == (UNDER_WAY, 8)
        timeline = (await got(session, f"runs/{UNDER_WAY}/timeline"))["items"]
        kinds = [event["kind"] for event in timeline if event["kind"] != "resent"]
        assert kinds == ["opened", "page", "sealed", "committed", "ai_started", "ai_done"]
    assert DataFolder(older).owner() is None
