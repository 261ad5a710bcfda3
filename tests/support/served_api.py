"""An API server on an event loop of its own, for tests that have none: of notebooks and commands.

`typer.testing.CliRunner` runs a command in the test's process, which is much quicker than a process
for each; but a command starts an event loop, so the test cannot have one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.support.api_server import Api, running_worker, serving
from tests.support.picture_server import serve_pictures
from tests.support.postgres import PostgresServer

CALL_S = 120.0
T = TypeVar("T")


class ServedApi:
    """A server with a worker and a server of pictures, all in one thread."""

    def __init__(self, dsn: str, data: Path, **settings: Any) -> None:
        self._dsn = dsn
        self._data = data
        self._settings = settings
        self._stack = AsyncExitStack()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="served-api")
        self.api: Api
        self.pictures = ""
        """Where ``/<anything>/<number>.png`` is served."""

    @property
    def dsn(self) -> str:
        """The address of its database."""
        return self._dsn

    @property
    def url(self) -> str:
        return self.api.url

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_S)

    async def _open(self, *, worker: bool) -> None:
        settings = {"fetch_allow": "127.0.0.0/8", **self._settings}
        self.pictures = await self._stack.enter_async_context(serve_pictures())
        opened = serving(self._dsn, self._data, **settings)
        self.api = await self._stack.enter_async_context(opened)
        if worker:
            await self._stack.enter_async_context(running_worker(self.api))

    @contextmanager
    def open(self, *, worker: bool = True) -> Iterator[ServedApi]:
        self._thread.start()
        try:
            self.call(self._open(worker=worker))
            yield self
        finally:
            self.call(self._stack.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


@contextmanager
def served_api(
    postgres: PostgresServer, template: str, data: Path, *, worker: bool = True, **settings: Any
) -> Iterator[ServedApi]:
    """Serve a database of its own that is copied from a template, for the tests of a module."""
    name = postgres.create_database(template)
    try:
        with ServedApi(postgres.dsn(name), data, **settings).open(worker=worker) as served:
            yield served
    finally:
        postgres.drop_database(name)
