"""MongoDB as DocumentDB is reached: SecantusDB, which speaks its wire protocol, on loopback.

Its licence is the GPL, so it has an environment of its own, `.venv-mongodb`, and nothing of ours
imports it. What it cannot prove of DocumentDB is in docs/guides/aws.md.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

from aws_local.emulator import HOST, free_port
from aws_local.guard import ROOT, Guard

PROGRAM = ROOT / ".venv-mongodb" / "bin" / "secantusd-py"
DATABASE = "triptych"
START_S = 60.0
STOP_S = 10.0
PROBE_S = 0.05
CONNECT_S = 1.0


class LocalMongo:
    """The server as a child process. Its data are in a folder, and outlive it there."""

    def __init__(
        self, folder: Path, *, port: int | None = None, guard: Guard | None = None
    ) -> None:
        self._folder = folder
        self._guard = guard
        self._port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return its address, for ``TRIPTYCH_READS_URL``."""
        # As on AWS: an answer is of several reads, and DocumentDB has no retried writes.
        return f"mongodb://{HOST}:{self._port}/{DATABASE}?readPreference=primary&retryWrites=false"

    @property
    def pid(self) -> int | None:
        """Return its process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it and wait until it takes connections.

        Raises:
            RuntimeError: it is not installed, or ends, or does not answer in time.
        """
        if not PROGRAM.exists():
            raise RuntimeError(
                "MongoDB's stand-in is not installed: run `make .venv-mongodb/.ready`."
            )
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        with (self._folder / "mongodb.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(PROGRAM), "--host", HOST, "--port", str(self._port)),
                    *("--storage-path", str(data)),
                ],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us: workers drain first.
            )
        if self._guard is not None:
            self._guard.watch(self._process.pid)
        self._wait()

    def _wait(self) -> None:
        assert self._process is not None
        until = time.monotonic() + START_S
        while self._process.poll() is None and time.monotonic() < until:
            try:
                with socket.create_connection((HOST, self._port), CONNECT_S):
                    return
            except OSError:
                time.sleep(PROBE_S)
        self.stop()
        raise RuntimeError(f"MongoDB does not answer; see {self._folder / 'mongodb.log'}.")

    def stop(self) -> None:
        """End it. Safe to repeat."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> LocalMongo:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.stop()


@asynccontextmanager
async def mongodb_server(folder: Path, guard: Guard | None = None) -> AsyncIterator[str]:
    """Yield the address of a server whose data are in a folder; end it afterwards."""
    server = LocalMongo(folder, guard=guard)
    await asyncio.to_thread(server.start)
    try:
        yield server.url
    finally:
        await asyncio.to_thread(server.stop)
