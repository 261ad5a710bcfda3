"""A server that speaks MongoDB's protocol, on loopback: one a pytest process, one database a test.

It is SecantusDB, in an environment of its own. `URL_VARIABLE` has the tests use a real server
instead, such as a MongoDB or an Amazon DocumentDB of one's own: docs/guides/mongodb.md.
"""

from __future__ import annotations

import gc
import os
import signal
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from aws_local.child_server import HOST
from aws_local.guard import Guard
from aws_local.mongodb import LocalMongo
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from triptych.reads.mongo.connection import MongoConnection

URL_VARIABLE = "TRIPTYCH_TEST_MONGODB_URL"
Marked = TypeVar("Marked", bound=Callable[..., object])


class MongoServer(LocalMongo):
    """A server as a child process. It can be stopped, or killed, and started again: at the same
    port, with its data, and with other options."""

    def __init__(
        self,
        folder: Path,
        *,
        options: Sequence[str] = (),
        client: dict[str, Any] | None = None,
        guard: Guard | None = None,
    ) -> None:
        """``client`` are options of the driver that the server's own options need."""
        super().__init__(folder, guard=guard)
        self.options = options
        self._client = client or {}

    @property
    def url(self) -> str:
        return f"mongodb://{HOST}:{self.port}"

    def command(self) -> Sequence[str]:
        return [*super().command(), *self.options]

    def answers(self) -> bool:
        client: MongoClient[dict[str, Any]] = MongoClient(
            self.url, serverSelectionTimeoutMS=500, **self._client
        )
        with client:
            try:
                client.admin.command("ping")
            except PyMongoError:
                return False
        return True

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.stop(signal.SIGKILL)


def in_database(url: str, name: str) -> str:
    """Return the address of a database of a server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture
def sockets_collected() -> Iterator[None]:
    """Collect the sockets that the driver leaves to the garbage collector when a server goes away,
    so that their warnings reach no other test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


SERVER_GOES_AWAY = [
    pytest.mark.usefixtures("sockets_collected"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""The marks of tests in which it does."""


def server_goes_away(test: Marked) -> Marked:
    """Mark one test with `SERVER_GOES_AWAY`: collecting costs a fifth of a CPU second."""
    for mark in SERVER_GOES_AWAY:
        test = mark(test)
    return test


@pytest.fixture(scope="session")
def mongodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server: its own, or the real one that the environment names."""
    if url := os.environ.get(URL_VARIABLE):
        yield url
        return
    with Guard() as guard, MongoServer(tmp_path_factory.mktemp("mongodb"), guard=guard) as server:
        yield server.url


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """Yield the address of an empty database of a server, and drop it."""
    name = f"triptych_{uuid4().hex[:12]}"
    yield in_database(server, name)
    client: MongoClient[dict[str, Any]] = MongoClient(server)
    with client:
        client.drop_database(name)


@pytest.fixture
def mongodb_url(mongodb_server: str) -> Iterator[str]:
    """The address of an empty database that is the test's own."""
    with new_database(mongodb_server) as url:
        yield url


@pytest.fixture(scope="module")
def shared_mongodb_url(mongodb_server: str) -> Iterator[str]:
    """The address of a database for all tests of a module, as `shared_dsn` is."""
    with new_database(mongodb_server) as url:
        yield url


@pytest.fixture
async def mongodb(mongodb_url: str) -> AsyncIterator[MongoConnection]:
    """A connection to an empty database that is the test's own."""
    connection = MongoConnection(mongodb_url)
    yield connection
    await connection.close()
