"""The Postgres of the tests: one server a pytest process, one empty database a test."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from triptych.database.migrate import migrate
from triptych.database.session import Database
from triptych.embedded.server import EmbeddedPostgres

T = TypeVar("T")

CALL_S = 600.0
"""Seconds that anything asked of the server's thread may take."""
FASTER = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}
"""What only a power failure would miss: committed data still survives SIGKILL."""


class PostgresServer:
    """An `EmbeddedPostgres` on an event loop of its own, for tests with and without a loop."""

    def __init__(self, data: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postgres-server")
        self._names = itertools.count(1)
        self.embedded = EmbeddedPostgres(data, extra=FASTER)

    def start(self) -> None:
        self._thread.start()
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
            connection = await asyncpg.connect(self.embedded.dsn)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        self.call(run())

    def create_database(self, template: str = "template1") -> str:
        """Create a database and return its name."""
        name = f"test_{next(self._names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def dsn(self, name: str) -> str:
        return self.embedded.dsn.replace("@/triptych?", f"@/{name}?")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
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
