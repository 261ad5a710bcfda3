"""What the browser tests play on: a real server with workers, an origin, and a Chromium."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx

from tests.support.picture_origin import Origin, serve_origin
from triptych.messages import GATHER_QUEUE

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0
LOOK_S = 0.05


class Loop:
    """An event loop in a thread: Playwright's own takes this one's place in the tests."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="browser-tests")
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def soon(self, work: Callable[[], object]) -> None:
        """Run something on the loop and wait until it has."""

        async def run() -> None:
            work()

        self.call(run())

    @contextmanager
    def holding(self, context: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Keep an asynchronous context open: entered and left in one task, as some must be."""
        leave = asyncio.Event()

        async def hold(entered: asyncio.Future[T]) -> None:
            try:
                async with context as value:
                    entered.set_result(value)
                    await leave.wait()
            except BaseException as error:
                if not entered.done():
                    entered.set_exception(error)
                raise

        async def begin() -> tuple[asyncio.Task[None], T]:
            ready = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(hold(ready))
            return task, await ready

        async def end(task: asyncio.Task[None]) -> None:
            leave.set()
            await task

        task, value = self.call(begin())
        try:
            yield value
        finally:
            self.call(end(task))

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Dashboard:
    """A running `triptych up`, reached as a browser and as a client of the API."""

    def __init__(self, url: str, loop: Loop, origin: Origin, data: Path) -> None:
        self.url = url
        self._data = data
        self.origin = origin
        self.loop = loop
        self.http = httpx.Client(base_url=f"{url}/api/v1", timeout=PATIENCE_S)

    def close(self) -> None:
        self.http.close()

    def get(self, path: str, **query: Any) -> Any:
        answer = self.http.get(path, params=query)
        answer.raise_for_status()
        return answer.json()

    def start(self, brand: str, source: str) -> str:
        """Start a brand over the API; return the run's id."""
        return str(self.submit(f"/brands/{brand}/runs", source=source)["run"])

    def submit(self, path: str, **body: Any) -> Any:
        """Post to the API; return its answer."""
        answer = self.http.post(path, json=body)
        answer.raise_for_status()
        return answer.json()

    def wait(self, run: str, *, patience_s: float = PATIENCE_S) -> Any:
        """Wait until nothing more will happen to a run, and return it."""
        return until(
            lambda: self.get(f"/runs/{run}"), lambda state: state["over"], patience_s=patience_s
        )

    def brand(self, name: str, count: int, missing: int = 0, start: int = 0) -> Any:
        """Take a brand to its end."""
        return self.wait(self.start(name, self.origin.source(count, missing, start)))

    def stray(self, body: dict[str, Any]) -> None:
        """Put a message into the gather queue, as a stranger may."""
        self.execute("select pgmq.send($1, $2::jsonb)", GATHER_QUEUE, json.dumps(body))

    def execute(self, statement: str, *args: object) -> None:
        """Run a statement in the server's database."""
        dsn = (self._data / "postgres.dsn").read_text(encoding="utf-8").strip()

        async def send() -> None:
            connection = await asyncpg.connect(dsn)
            try:
                await connection.execute(statement, *args)
            finally:
                await connection.close()

        self.loop.call(send())


def until(ask: Callable[[], T], true: Callable[[T], bool], *, patience_s: float = PATIENCE_S) -> T:
    """Ask until it is as it should be; the last answer is in the error if it never is."""
    end = time.monotonic() + patience_s
    while not true(found := ask()):
        assert time.monotonic() < end, found
        time.sleep(LOOK_S)
    return found


@contextmanager
def open_dashboard(data: Path, *, port: int = 0) -> Iterator[Dashboard]:
    """Start everything on a data folder."""
    loop = Loop()
    environment = {
        **os.environ,
        "TRIPTYCH_DATA": str(data),
        "TRIPTYCH_FETCH_ALLOW": "127.0.0.0/8",
        "TRIPTYCH_API_RATE": "100000",
        "TRIPTYCH_API_BURST": "100000",
        "TRIPTYCH_DRAIN_S": "2",
    }
    command = [sys.executable, "-m", "triptych", "up", "--port", str(port)]
    try:
        with (
            loop.holding(serve_origin()) as origin,
            subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as up,
        ):
            assert up.stderr is not None
            try:
                told = up.stderr.readline()
                found = re.search(r"dashboard at (http://[^,\s]+)", told)
                assert found, told + up.stderr.read()
                with closing(Dashboard(found[1], loop, origin, data)) as dashboard:
                    ready = f"{found[1]}/readyz"
                    until(
                        lambda: dashboard.http.get(ready).status_code, lambda status: status == 200
                    )
                    yield dashboard
            finally:
                loop.soon(origin.release)
                up.terminate()
                up.communicate(timeout=PATIENCE_S)
    finally:
        loop.stop()


def chromium() -> str:
    """Return the path of a Chromium."""
    written = ROOT / ".chromium" / "path"
    found = written.read_text(encoding="utf-8").strip() if written.is_file() else None
    path = found or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "the browser tests need Chromium: run `bash scripts/chromium.sh .chromium/path`"
    return path


ARGUMENTS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""As root there is no sandbox; without a graphics card WebGL is drawn by the processor."""
