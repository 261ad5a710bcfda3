"""Immediate reads on the command line: of Postgres alone, or with a MongoDB beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_server import commit, pictures
from tests.support.cli_process import Cli
from tests.support.commands import DatabaseCommands, log_apart
from tests.support.sealing import KEY, KEYS
from triptych.database.session import Database
from triptych.reads.mongo.connection import MongoConnection
from triptych.reads.mongo.mongo_projection import MongoProjection
from triptych.wiring.stores import Stores, postgres_stores
from triptych.workers.projector import Projector

pytestmark = pytest.mark.integration


@pytest.fixture
def commands(migrated_dsn: str, tmp_path: Path) -> DatabaseCommands:
    return DatabaseCommands(migrated_dsn, tmp_path / "data")


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    with log_apart():
        yield


def test_without_mongodb_status_says_that_postgres_answers(commands: DatabaseCommands) -> None:
    told = commands("reads", "status")
    assert (told.code, told.out) == (
        0,
        "Postgres answers immediate reads: TRIPTYCH_READS_URL is not set.\n",
    )
    assert commands("reads", "status", "--json").json() == {"database": None, "items": []}
    (reads,) = [check for check in commands("doctor", "--json").json() if check["what"] == "reads"]
    assert reads == {"what": "reads", "ok": True, "warns": False, "says": "Postgres"}


def test_without_mongodb_there_is_nothing_to_rebuild(commands: DatabaseCommands) -> None:
    refused = commands("reads", "rebuild", "--all")
    assert refused.code == 2
    (only,) = refused.err.splitlines()
    assert only.startswith("error: TRIPTYCH_READS_URL: It is not set")


def test_a_rebuild_is_of_one_brand_or_of_all(commands: DatabaseCommands) -> None:
    for given in ((), ("nike", "--all")):
        refused = commands("reads", "rebuild", *given)
        assert refused.code == 1
        assert "BRAND: Name a brand, or all. Or --all." in refused.err
    named = commands("reads", "status", "a/b")
    assert (named.code, "must not contain a slash" in named.err) == (1, True)


@pytest.fixture
async def stores(cli: Cli, migrated_dsn: str, mongodb_url: str) -> AsyncIterator[Stores]:
    """Stores of the database that the commands use, beside a MongoDB."""
    cli.env["TRIPTYCH_DATABASE_URL"] = migrated_dsn
    cli.env["TRIPTYCH_READS_URL"] = mongodb_url
    cli.env["TRIPTYCH_SEALING_KEY"] = KEY
    opened = postgres_stores(Database(migrated_dsn), run_cap_s=3600, keys=KEYS)
    yield opened
    await opened.close()


async def reads_finding(cli: Cli) -> Any:
    findings = (await cli("doctor", "--json")).json()
    return next(each for each in findings if each["what"] == "reads")


async def test_status_and_rebuild_show_how_far_a_mongodb_is(
    cli: Cli, stores: Stores, mongodb: MongoConnection, mongodb_url: str
) -> None:
    projector = Projector(stores.projections, MongoProjection(mongodb))
    run = await commit(stores, "nike", pictures(6))
    await commit(stores, "puma", pictures(2))
    first = await cli("reads", "status", "--json")
    assert first.code == 0, first.err
    new = first.json()
    assert (new["brands"], new["shown"], new["behind"]) == (2, 0, 2)
    assert new["lag_s"] > 0
    assert "is behind with 2 brands" in (await reads_finding(cli))["says"]
    await projector.catch_up()
    done = (await cli("reads", "status", "--json")).json()
    assert (done["brands"], done["shown"], done["behind"], done["lag_s"]) == (2, 2, 0, 0)
    assert done["database"] == {"id": new["database"]["id"], "address": mongodb_url}
    (nike,) = (await cli("reads", "status", "nike", "--json")).json()["items"]
    assert (nike["shown_run"], nike["wanted_run"]) == (str(run.id), str(run.id))
    assert "2 brands, 2 shown, 0 behind" in (await cli("reads", "status")).out
    well = await reads_finding(cli)
    assert (well["ok"], well["warns"]) == (True, False)
    assert well["says"].startswith(f"{mongodb_url}, MongoDB ")
    assert (await cli("reads", "rebuild", "nike", "--json")).json() == {"rebuilt": 1}
    assert (await cli("reads", "status", "--json")).json()["behind"] == 1
    assert (await cli("reads", "rebuild", "--all")).out.startswith("2 to be written again.")
    await projector.catch_up()
    assert (await cli("reads", "status", "--json")).json()["behind"] == 0
    for verb in ("status", "rebuild"):
        unknown = await cli("reads", verb, "nobody")
        assert (unknown.code, "nobody" in unknown.err) == (1, True), verb


async def test_a_mongodb_that_is_away_is_a_warning_of_the_doctors(cli: Cli, stores: Stores) -> None:
    cli.env["TRIPTYCH_READS_URL"] = "mongodb://me:s3cret@127.0.0.1:1/triptych"
    found = await reads_finding(cli)
    assert (found["ok"], found["warns"]) == (True, True)
    assert "mongodb://…@127.0.0.1:1/triptych: MongoDB does not answer" in found["says"]
    assert "s3cret" not in found["says"]
    told = await cli("reads", "status")
    assert (told.code, "MongoDB does not answer" in told.err) == (1, True)
    assert "s3cret" not in told.err
