"""A server that speaks MongoDB's protocol, on loopback: one a pytest process, one database a test.

It is SecantusDB, in an environment of its own. `URL_VARIABLE` has the tests use a real server
instead, such as a MongoDB or an Amazon DocumentDB of one's own: docs/guides/mongodb.md.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import time
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from aws_local.emulator import free_port
from aws_local.guard import ROOT, Guard
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from triptych.reads.mongo.connection import MongoConnection

SERVER = ROOT / ".venv-mongodb" / "bin" / "secantusd-py"
HOST = "127.0.0.1"
START_S = 60.0
STOP_S = 10.0
URL_VARIABLE = "TRIPTYCH_TEST_MONGODB_URL"


class MongoServer:
    """A server as a child process. It can be stopped, or killed, and started again: at the same
    port, with its data."""

    def __init__(
        self,
        folder: Path,
        *,
        options: Sequence[str] = (),
        client: dict[str, Any] | None = None,
        guard: Guard | None = None,
    ) -> None:
        """``client`` are options of the driver that the server's own options need."""
        self._folder = folder
        self._options = options
        self._client = client or {}
        self._guard = guard
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mongodb://{HOST}:{self._port}"

    def start(self, *, options: Sequence[str] | None = None) -> None:
        """Start it, and wait until it answers; ``options`` are other ones from now on."""
        if not SERVER.exists():
            raise RuntimeError("The MongoDB of the tests is not installed: run `make test`.")
        self._options = self._options if options is None else options
        self._folder.mkdir(parents=True, exist_ok=True)
        place = ["--host", HOST, "--port", str(self._port)]
        with (self._folder / "mongodb.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(SERVER), *place, "--storage-path", str(self._folder / "data"), *self._options],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if self._guard is not None:
            self._guard.watch(self._process.pid)
        self._wait()

    def _wait(self) -> None:
        assert self._process is not None
        until = time.monotonic() + START_S
        client: MongoClient[dict[str, Any]] = MongoClient(
            self.url, serverSelectionTimeoutMS=500, **self._client
        )
        with client:
            while self._process.poll() is None and time.monotonic() < until:
                try:
                    client.admin.command("ping")
                except PyMongoError:
                    time.sleep(0.05)
                else:
                    return
        self.stop()
        raise RuntimeError(f"It does not answer; see {self._folder / 'mongodb.log'}.")

    def stop(self) -> None:
        """End it. Safe to repeat."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> MongoServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


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


@pytest.fixture(scope="session")
def mongodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server: its own, or the real one that the environment names."""
    if url := os.environ.get(URL_VARIABLE):
        yield url
        return
    with Guard() as guard, MongoServer(tmp_path_factory.mktemp("mongodb"), guard=guard) as server:
        yield server.url


@pytest.fixture
def mongodb_url(mongodb_server: str) -> Iterator[str]:
    """The address of an empty database that is the test's own."""
    name = f"triptych_{uuid4().hex[:12]}"
    yield in_database(mongodb_server, name)
    client: MongoClient[dict[str, Any]] = MongoClient(mongodb_server)
    with client:
        client.drop_database(name)


@pytest.fixture
async def mongodb(mongodb_url: str) -> AsyncIterator[MongoConnection]:
    """A connection to an empty database that is the test's own."""
    connection = MongoConnection(mongodb_url)
    yield connection
    await connection.close()
