"""RDS: TLS that verifies, tokens that a verifier accepts, searches read from a replica."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest

from tests.support.contracts.search_contract import axis, commit_vectors, drawn, nearest
from tests.support.postgres import PostgresServer
from tests.support.rds_stand_in import (
    KEY,
    REGION,
    SECRET,
    USER,
    AuthMiddleware,
    certificates,
    open_door,
)
from triptych.database.session import Database
from triptych.errors import DatabaseUnavailable, SettingsError
from triptych.settings.settings import Settings
from triptych.wiring.services import connect
from triptych.wiring.stores import postgres_stores


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, Path]:
    return certificates(tmp_path, "localhost")


@pytest.fixture
async def door(
    migrated_dsn: str, authority: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AuthMiddleware]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    folder = parse_qs(urlsplit(migrated_dsn).query)["host"][0]
    async with open_door(f"{folder}/.s.PGSQL.5432", authority[1]) as opened:
        yield opened


def address(door: AuthMiddleware, dsn: str, ca: Path, *, host: str = "localhost") -> str:
    name = urlsplit(dsn).path
    return (
        f"postgresql+iam://{USER}@{host}:{door.port}{name}"
        f"?sslmode=verify-full&sslrootcert={quote(str(ca))}"
    )


async def test_a_token_over_tls_opens_the_database(
    door: AuthMiddleware, migrated_dsn: str, authority: tuple[Path, Path], tmp_path: Path
) -> None:
    where = address(door, migrated_dsn, authority[0])
    settings = Settings.load(data=tmp_path, database_url=where, database_connections=2)
    async with connect(settings, where) as parts:
        assert await parts.stores.brands.brands() == []
        await parts.queue.depths()
    assert door.let_in >= 1
    assert door.refused == 0


async def test_each_connection_brings_a_token_of_its_own(
    door: AuthMiddleware, migrated_dsn: str, authority: tuple[Path, Path]
) -> None:
    database = Database(address(door, migrated_dsn, authority[0]), pool_max=3)
    async with database.connection(), database.connection(), database.connection() as third:
        assert await third.fetchval("select 1") == 1
    assert door.let_in == 3
    await database.close()


async def test_g9_a_token_of_other_credentials_is_refused(
    door: AuthMiddleware,
    migrated_dsn: str,
    authority: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    database = Database(address(door, migrated_dsn, authority[0]))
    with pytest.raises(Exception, match="PAM authentication failed"):
        await database.fetch("select 1")
    assert (door.let_in, door.refused) == (0, 1)
    await database.close()


@pytest.mark.parametrize("wrong", ["another authority", "another name"])
async def test_g9_no_token_goes_to_a_server_that_is_not_verified(
    door: AuthMiddleware,
    migrated_dsn: str,
    authority: tuple[Path, Path],
    tmp_path: Path,
    wrong: str,
) -> None:
    if wrong == "another name":
        where = address(door, migrated_dsn, authority[0], host="127.0.0.1")
    else:
        where = address(door, migrated_dsn, certificates(tmp_path, "elsewhere")[0])
    database = Database(where)
    with pytest.raises(DatabaseUnavailable, match="certificate verify failed"):
        await database.fetch("select 1")
    assert (door.let_in, door.refused) == (0, 0)
    await database.close()


@pytest.mark.parametrize(
    "rest",
    [
        "u@h/d",
        "u@h/d?sslmode=require",
        "u@h/d?sslmode=verify-full&sslmode=disable",
        "h/d?sslmode=verify-full",
        "u:p@h/d?sslmode=verify-full",
    ],
)
def test_g9_an_address_that_would_give_tokens_away_is_refused(rest: str) -> None:
    with pytest.raises(SettingsError, match="TRIPTYCH_DATABASE_URL"):
        Database(f"postgresql+iam://{rest}")


async def test_without_credentials_it_is_said(
    door: AuthMiddleware,
    migrated_dsn: str,
    authority: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    database = Database(address(door, migrated_dsn, authority[0]))
    with pytest.raises(DatabaseUnavailable, match="no credentials"):
        await database.fetch("select 1")
    await database.close()


class Watched(Database):
    """Counts how often it is asked."""

    asked = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        self.asked += 1
        async with super().connection() as connection:
            yield connection


@pytest.fixture
def behind(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """The address of a replica that has nothing yet."""
    name = postgres_server.create_database(migrated_template)
    yield postgres_server.dsn(name)
    postgres_server.drop_database(name)


@pytest.mark.parametrize("state", ["level", "behind", "away"])
async def test_a_search_asks_the_replica_and_what_that_lacks_the_database(
    migrated_dsn: str, behind: str, state: str
) -> None:
    away = "postgresql://nobody@127.0.0.1:9/none"
    replica = Watched({"level": migrated_dsn, "behind": behind, "away": away}[state])
    database = Watched(migrated_dsn)
    stores = postgres_stores(database, run_cap_s=60, replica=replica)
    run = await commit_vectors(stores, "nike", drawn(5, 1))
    before = database.asked
    hits = await stores.search.nearest_in(run.id, nearest(axis(0)))
    await stores.close()
    assert len(hits.rows) == 3
    assert replica.asked == 1
    assert database.asked - before == (0 if state == "level" else 1)
