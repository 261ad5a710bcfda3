"""The Postgres of the tests: one server a pytest process, one empty database a test."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from triptych.database.migrate import migrate
from triptych.database.session import Database
from triptych.embedded.accounts import Account
from triptych.embedded.binaries import find_binaries, make_reachable
from triptych.embedded.cluster import ROLE, Cluster
from triptych.embedded.postmaster import ServerLog
from triptych.embedded.server import EmbeddedPostgres
from triptych.embedded.single_user import SingleUser
from triptych.embedded.waits import log_line

T = TypeVar("T")

CALL_S = 600.0
"""Seconds that anything asked of the server's thread may take."""
FASTER = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}
"""What only a power failure would miss: committed data still survives SIGKILL."""

SUPERUSER = "tests"
"""A superuser that can log in, which an embedded Postgres does not have."""
RULES = "local all all peer map=tests"
IDENT = f"tests /^.*$ {ROLE}\ntests /^.*$ {SUPERUSER}"


@contextmanager
def open_rules() -> Iterator[dict[str, str]]:
    """Parameters with which a server also lets `SUPERUSER` in, and both into every database."""
    with tempfile.TemporaryDirectory(prefix="triptych-tests-hba-") as folder:
        # The server may run as an account that cannot enter pytest's folders.
        Path(folder).chmod(0o755)
        parameters = {}
        for name, text in (("hba_file", RULES), ("ident_file", IDENT)):
            path = Path(folder, name)
            path.write_text(f"{text}\n")
            path.chmod(0o644)
            parameters[name] = str(path)
        yield parameters


def stopped_cluster(data: Path) -> SingleUser:
    """The cluster of a data folder on which no server runs, for statements of its superuser."""
    folder = data / "postgres"
    account, binaries = Account.choose(None, folder), find_binaries()
    if not account.is_self:
        binaries = make_reachable(binaries)
    cluster = Cluster(folder, account, binaries)
    return SingleUser(cluster, ServerLog(data / "log" / "tests.log"), extra=FASTER, say=log_line)


class PostgresServer:
    """An `EmbeddedPostgres` on an event loop of its own, for tests with and without a loop."""

    def __init__(self, data: Path, rules: dict[str, str]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postgres-server")
        self._names = itertools.count(1)
        self._data = data
        self.embedded = EmbeddedPostgres(data, extra=FASTER | rules)

    def start(self) -> None:
        self._thread.start()
        self.call(self.embedded.start())
        self.call(self.embedded.stop())
        alone = stopped_cluster(self._data)
        alone.run(
            "template1",
            [f"create role {SUPERUSER} superuser login", "create extension vector schema public"],
        )
        self.call(self.embedded.start())

    def stop(self) -> None:
        try:
            self.call(self.embedded.stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_S)

    def execute(self, statement: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self.superuser_dsn("postgres"))
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        self.call(run())

    def create_database(self, template: str = "template1") -> str:
        """Create a database that the application's role owns, and return its name."""
        name = f"test_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def dsn(self, name: str) -> str:
        return self.embedded.dsn.replace("@/triptych?", f"@/{name}?")

    def superuser_dsn(self, name: str) -> str:
        return superuser_at(self.dsn(name))


def superuser_at(dsn: str) -> str:
    """The address of the same database of the tests' server, for `SUPERUSER`."""
    return dsn.replace(f"//{ROLE}@", f"//{SUPERUSER}@")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with open_rules() as rules:
        server = PostgresServer(tmp_path_factory.mktemp("postgres"), rules)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def fresh_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty database that is the test's own."""
    name = postgres_server.create_database()
    yield postgres_server.dsn(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> str:
    """The name of a database with the whole schema: copying it is quicker than migrating."""
    name = postgres_server.create_database()

    async def run() -> None:
        database = Database(postgres_server.dsn(name))
        try:
            await migrate(database)
        finally:
            await database.close()

    postgres_server.call(run())
    return name


@pytest.fixture
def migrated_dsn(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """The address of a database with the whole schema that is the test's own."""
    name = postgres_server.create_database(migrated_template)
    yield postgres_server.dsn(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="module")
def shared_dsn(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """The address of a database with the whole schema for all tests of a module.

    For tests that only read, or of which each writes what no other looks at.
    """
    name = postgres_server.create_database(migrated_template)
    yield postgres_server.dsn(name)
    postgres_server.drop_database(name)
