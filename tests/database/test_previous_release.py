"""The release before this one and this code share a database, both ways, while a run goes on."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.earlier_code import (
    COMMAND_S,
    REPOSITORY,
    Code,
    git,
    need_commit,
    stopped_after,
    unpack,
)
from tests.support.later_pictures import AT_ONCE, URLS, pictures
from tests.support.sealing import KEY
from tests.support.waiting import until
from triptych.database.migrate import migrate
from triptych.database.migration import migrations, read_migration
from triptych.database.previous_release import COMMIT, LEVEL
from triptych.database.schema import read_schema
from triptych.database.session import Database

pytestmark = [pytest.mark.integration, pytest.mark.prove]

PHASES = ("gather", "acquire", "ai")
LATER = [step.name for step in migrations() if step.level > LEVEL]
APPLIED = [
    step.name
    for long in (False, True)
    for step in migrations()
    if step.level > LEVEL and step.long == long
]
"""As they are applied: the short ones do not wait for the long ones."""


WIDER = read_migration(
    "8999_wider",
    f"-- oldest compatible: {LEVEL:04}\n"
    + "".join(
        f"alter table {table} add column later text;\n"
        for table in ("brands", "runs", "items", "staged", "assets", "timeline", "outbox", "tasks")
    ),
)
"""What a later release may add to any table, while older code is at work."""


async def widen(dsn: str) -> None:
    database = Database(dsn)
    try:
        assert await migrate(database, steps=[*migrations(), WIDER]) == [WIDER.name]
    finally:
        await database.close()


def code(name: str, source: Path, folder: Path, dsn: str) -> Code:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("TRIPTYCH_")}
    ours = {
        "DATABASE_URL": dsn,
        "DATA": folder / "data",
        "EMBEDDER": "none",
        "SEALING_KEY": KEY,
        "FETCH_ALLOW": "127.0.0.0/8",
        "API_PORT": 0,
        "SWEEP_S": 0.5,
        "QUIET_S": 1.5,
        "RESEND_S": 2,
        "VISIBILITY_S": 4,
        "MAX_RECEIVES": 1000,
    }
    environment = {**inherited, **{f"TRIPTYCH_{key}": str(value) for key, value in ours.items()}}
    return Code(name, source, folder / f"{name}.log", environment)


@pytest.fixture
def before(tmp_path: Path, fresh_dsn: str) -> Code:
    """The code of the release before."""
    return code("before", unpack(COMMIT, tmp_path / "before"), tmp_path, fresh_dsn)


@pytest.fixture
def this(tmp_path: Path, fresh_dsn: str) -> Code:
    """This code."""
    return code("this", REPOSITORY / "src", tmp_path, fresh_dsn)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def get(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        assert response.status == 200, (url, await response.text())
        return await response.json()


async def ready(session: aiohttp.ClientSession, api: str) -> bool:
    async with session.get(api.replace("/api/v1/", "/readyz")) as response:
        return response.status == 200


async def start(
    session: aiohttp.ClientSession, api: str, urls: list[str], brand: str = "nike"
) -> str:
    """Start a run of the brand, wait until all that can be is settled; return its id."""
    async with session.post(f"{api}brands/{brand}/runs", json={"urls": urls}) as response:
        assert response.status == 202, await response.text()
    run = await until(
        lambda: get(session, f"{api}brands/{brand}"),
        lambda brand: (brand["latest"] or {}).get("done") == AT_ONCE,
        patience_s=120,
    )
    return str(run["latest"]["id"])


async def ended(session: aiohttp.ClientSession, api: str, run: str) -> None:
    """Wait for the end of a run, which is to be a commit of all, with its AI phase."""
    found = await until(
        lambda: get(session, f"{api}runs/{run}"), lambda run: run["over"], patience_s=120
    )
    assert (found["state"], found["ai_state"], found["done"]) == ("committed", "done", URLS)
    events = (await get(session, f"{api}runs/{run}/timeline"))["items"]
    kinds = [event["kind"] for event in events]
    assert (kinds.count("committed"), kinds.count("ai_done")) == (1, 1)
    brand = f"{api}brands/{found['brand']}"
    assert (await get(session, brand))["assets"] == URLS
    assert len((await get(session, f"{brand}/assets"))["items"]) == URLS


async def again(session: aiohttp.ClientSession, api: str, urls: list[str]) -> None:
    """Run the brand once more, to its end."""
    async with session.post(f"{api}brands/nike/runs", json={"urls": urls}) as response:
        assert response.status == 202, await response.text()
    brand = await until(
        lambda: get(session, f"{api}brands/nike"),
        lambda brand: brand["latest"]["id"] != brand["current_run"],
    )
    await ended(session, api, brand["latest"]["id"])


def test_the_level_of_the_release_before_is_that_of_its_commit() -> None:
    need_commit(COMMIT)
    listed = git("ls-tree", "--name-only", f"{COMMIT}:src/triptych/database/migrations").decode()
    assert max(int(name[:4]) for name in listed.split() if name.endswith(".sql")) == LEVEL


async def test_the_code_before_goes_on_on_this_schema_and_starts_again_after_a_rollback(
    before: Code, this: Code, session: aiohttp.ClientSession, fresh_dsn: str
) -> None:
    async with pictures() as site, stopped_after(before, this):
        await before.command("migrate")
        server, api = await before.serve("api")
        worker = await before.start("worker", *PHASES)
        run = await start(session, api, site.urls())

        applied = json.loads(await this.command("migrate", "--json"))["applied"]
        assert applied == APPLIED
        # The release: new tasks beside the old ones.
        new = await this.start("worker", *PHASES)
        _, new_api = await this.serve("api")
        assert (await get(session, f"{new_api}runs/{run}"))["done"] == AT_ONCE
        assert await ready(session, api)
        assert await ready(session, new_api)
        await widen(fresh_dsn)
        assert await ready(session, api)

        # The rollback: only old tasks, on this schema, some of which start again.
        await this.kill(new)
        await before.kill(worker)
        await before.kill(server)
        assert json.loads(await before.command("migrate", "--json")) == {"applied": []}
        _, api = await before.serve("api")
        await before.start("worker", *PHASES)
        assert await ready(session, api)
        assert (await get(session, f"{api}runs/{run}"))["state"] == "active"
        site.released.set()
        await ended(session, api, run)
        await again(session, api, site.urls())
    assert "newer than this Triptych" not in before.logged()


async def test_this_code_serves_on_the_schema_before_and_goes_on_when_it_is_migrated(
    before: Code, this: Code, session: aiohttp.ClientSession, fresh_dsn: str
) -> None:
    async with pictures() as site, stopped_after(before, this):
        await before.command("migrate")
        _, api = await this.serve("api")
        await this.start("worker", *PHASES)
        assert await ready(session, api)
        assert "schema_behind" in this.logged()
        run = await start(session, api, site.urls())
        site.released.set()
        await ended(session, api, run)
        database = Database(fresh_dsn)
        schema = await read_schema(database)
        await database.close()
        assert (schema.level, [step.name for step in schema.missing]) == (LEVEL, LATER)

        site.released.clear()
        run = await start(session, api, site.urls("adidas/"), "adidas")
        assert json.loads(await this.command("migrate", "--json"))["applied"] == APPLIED
        await widen(fresh_dsn)
        site.released.set()
        await ended(session, api, run)
        assert await ready(session, api)


async def test_the_code_before_ends_on_a_schema_that_no_longer_serves_it(
    before: Code, fresh_dsn: str
) -> None:
    contract = read_migration("9000_contract", f"-- oldest compatible: {LEVEL + 1:04}\nselect 1;")
    database = Database(fresh_dsn)
    await migrate(database, steps=[*migrations(), contract])
    await database.close()
    worker = await before.start("worker", *PHASES)
    assert await asyncio.wait_for(worker.wait(), COMMAND_S) == 1
    assert re.search(r"(newer than|too new for) this Triptych.*9000_contract", before.logged())
