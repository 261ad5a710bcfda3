"""The embedded Postgres: our own child process, started, watched, restarted and stopped.

Whoever runs it owns the data folder (`triptych.data_folder.DataFolder`): a postmaster that it
finds there is taken for an orphan and stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
import structlog

from triptych.adapters.postgres.binaries import find_binaries, make_reachable
from triptych.adapters.postgres.cluster import ROLE, Account, Cluster, read_major
from triptych.adapters.postgres.sockets import (
    PORT,
    make_dsn,
    read_dsn,
    socket_folder,
    write_dsn,
)
from triptych.data_folder import LOG, POSTGRES
from triptych.errors import PostgresServerError

__all__ = ["EmbeddedPostgres", "read_dsn", "restart_delay_s"]

START_S = 300.0
"""Seconds until the first start must accept queries; crash recovery may need most of them."""
CONNECT_S = 10.0
STOP_S = ((signal.SIGINT, 120.0), (signal.SIGQUIT, 30.0), (signal.SIGKILL, 10.0))
"""Fast, then immediate, then by force. The latter two cost the next start a recovery, no data."""
PROBE_FIRST_S = 0.02
PROBE_MAX_S = 0.5
LINGERING_S = 0.3
"""Seconds between attempts while a killed postmaster's backends are still leaving."""

MAX_RESTARTS = 10
RESTART_WINDOW_S = 300.0
RESTART_FIRST_S = 0.1
RESTART_MAX_S = 30.0

LOG_MAX_BYTES = 10 * 1024 * 1024
"""A larger log is set aside at the next start; one such is kept."""
TAIL_BYTES = 16 * 1024

LINGERING = ('lock file "postmaster.pid" already exists', "pre-existing shared memory block")

PARAMETERS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "cluster_name": ROLE,
    "max_connections": "200",
    # What was committed stays committed (G4), whatever a configuration file says.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # One node, no replicas: less to write.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "shared_buffers": "256MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "idle_in_transaction_session_timeout": "10min",
    # The log is for people: only what went wrong, without the data of statements.
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",
}
"""Settings given on the command line, where no file overrides them."""

_log = structlog.get_logger(__name__)


def restart_delay_s(recent: Sequence[float], now: float) -> float:
    """Return the seconds to wait before a restart, given when earlier ones were (ascending).

    Doubles with each restart in the last `RESTART_WINDOW_S`, jittered by half; after
    `MAX_RESTARTS` in that window the next one waits until the oldest has left it.
    """
    inside = [at for at in recent if now - at < RESTART_WINDOW_S]
    if len(inside) >= MAX_RESTARTS:
        return inside[-MAX_RESTARTS] + RESTART_WINDOW_S - now
    backoff = min(RESTART_FIRST_S * 2.0 ** len(inside), RESTART_MAX_S)
    return backoff * random.uniform(0.5, 1.5)  # noqa: S311


class _Child:
    """A postmaster, and the future that its exit completes."""

    def __init__(self, process: subprocess.Popen[bytes], log_offset: int) -> None:
        self.pid = process.pid
        self.log_offset = log_offset
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._process = process
        threading.Thread(target=self._wait, name="postgres-exit", daemon=True).start()

    def _wait(self) -> None:
        code = self._process.wait()
        # A closed loop: whoever ran it is gone, and there is nobody to tell.
        with contextlib.suppress(RuntimeError):
            self.exited.get_loop().call_soon_threadsafe(self._tell, code)

    def _tell(self, code: int) -> None:
        if not self.exited.done():
            self.exited.set_result(code)

    async def end(self) -> None:
        """Stop it, as gently as it lets itself be stopped."""
        for number, seconds in STOP_S:
            self._process.send_signal(number)
            await asyncio.wait({self.exited}, timeout=seconds)
            if self.exited.done():
                return
        raise PostgresServerError(f"Postgres (process {self.pid}) does not end.")


class _ExitedEarly(Exception):
    """The postmaster ended before it accepted queries."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code
        self.said = said

    @property
    def passing(self) -> bool:
        """True when an earlier server's processes are in the way, and on their way out."""
        return any(sign in self.said for sign in LINGERING)


class EmbeddedPostgres:
    """A Postgres server whose data is in one folder and which only this account can reach.

    What was committed survives the death of any process at any point. A postmaster that dies is
    started again by itself, at most `MAX_RESTARTS` times in `RESTART_WINDOW_S`. As root the
    server runs as an unprivileged account, and no mode of an existing folder is changed.
    """

    def __init__(
        self,
        data: Path,
        *,
        binaries: Path | None = None,
        user: str | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        """Touch nothing yet.

        Args:
            data: the data folder; it exists, and the caller owns it.
            binaries: folder of Postgres' programs, instead of the wheel's.
            user: whom root lets it run as; by default the cluster's owner, ``postgres``, or
                ``nobody``.
            extra: parameters of the server, over `PARAMETERS`.
        """
        self._data = data.resolve()
        self._override = binaries
        self._user = user
        self._extra = dict(extra or {})
        self._cluster: Cluster | None = None
        self._sockets: Path | None = None
        self._child: _Child | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._restarts: deque[float] = deque(maxlen=MAX_RESTARTS)

    @property
    def dsn(self) -> str:
        """The database's address, as asyncpg takes it.

        Raises:
            PostgresServerError: it has not been started yet.
        """
        if self._sockets is None:
            raise PostgresServerError("The embedded Postgres has not been started.")
        return make_dsn(self._sockets)

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it lives."""
        child = self._child
        return None if child is None or child.exited.done() else child.pid

    def running(self) -> bool:
        """Return True while the postmaster lives; it may still be recovering."""
        return self.pid is not None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Make the cluster if there is none, start it, and return when it accepts queries.

        No change when it has been started before.

        Raises:
            PostgresServerError: it cannot be made or started; with the last line of its log.
        """
        if self._supervisor is not None:
            return
        await _finish(asyncio.to_thread(self._prepare))
        try:
            async with asyncio.timeout(START_S):
                await self._start_first()
        except BaseException as error:
            await self._end_child()
            if isinstance(error, TimeoutError):
                raise PostgresServerError(
                    f"Postgres did not accept queries within {START_S:.0f} s.",
                    remedy=f"Its log is {self._log_path}.",
                ) from error
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="postgres-supervisor")

    async def stop(self) -> None:
        """Stop it: sessions are ended, a checkpoint is written. Safe to repeat.

        Raises:
            PostgresServerError: it does not end.
        """
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait({supervisor})
            if not supervisor.cancelled():
                supervisor.exception()
        await self._end_child()

    async def watch(self) -> None:
        """Return when it is stopped.

        Raises:
            PostgresServerError: it died and cannot be started again, whatever the wait.
        """
        if self._supervisor is not None:
            await asyncio.wait({self._supervisor})
            if not self._supervisor.cancelled():
                self._supervisor.result()

    @property
    def _log_path(self) -> Path:
        return self._data / LOG / "postgres.log"

    def _prepare(self) -> None:
        folder = self._data / POSTGRES
        account = Account.choose(self._user, folder)
        binaries = find_binaries(self._override, major=read_major(folder))
        if not account.is_self:
            binaries = make_reachable(binaries)
        cluster = Cluster(folder, account, binaries)
        cluster.ensure()
        sockets = socket_folder(self._data, account)
        if cluster.stop_orphan(sockets):
            _log.warning("postgres_orphan_stopped", folder=str(folder))
        cluster.admit([Account.own_name()])
        _set_aside(self._log_path)
        write_dsn(self._data, make_dsn(sockets))
        self._cluster, self._sockets = cluster, sockets

    async def _start_first(self) -> None:
        while True:
            self._child = self._spawn()
            try:
                await self._accepts_queries(self._child)
            except _ExitedEarly as early:
                if not early.passing:
                    raise PostgresServerError(
                        f"Postgres ended with {early.code}: {early.said}",
                        remedy=f"Its log is {self._log_path}.",
                    ) from early
                await asyncio.sleep(LINGERING_S)
            else:
                return

    async def _supervise(self) -> None:
        while True:
            child = self._child
            assert child is not None
            code = await child.exited
            now = time.monotonic()
            delay_s = restart_delay_s(self._restarts, now)
            _log.error(
                "postgres_died",
                code=code,
                said=_tail(self._log_path, child.log_offset),
                restart_in_s=round(delay_s, 1),
            )
            await asyncio.sleep(delay_s)
            self._restarts.append(time.monotonic())
            await self._restart()

    async def _restart(self) -> None:
        """Start it once more and see it through recovery, however long that takes."""
        cluster = self._cluster
        assert cluster is not None
        await _finish(asyncio.to_thread(cluster.check))
        while True:
            self._child = self._spawn()
            try:
                await self._accepts_queries(self._child)
            except _ExitedEarly as early:
                if not early.passing:
                    return  # `_supervise` sees the same exit, and waits longer
                await asyncio.sleep(LINGERING_S)
            else:
                _log.warning("postgres_restarted", pid=self._child.pid)
                return

    def _spawn(self) -> _Child:
        # Not in a thread: a cancelled start must never lose a child that it has just made.
        cluster, sockets = self._cluster, self._sockets
        assert cluster is not None
        assert sockets is not None
        parameters = {**PARAMETERS, "unix_socket_directories": str(sockets), **self._extra}
        log = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                [
                    cluster.binaries.program("postgres"),
                    "-D",
                    cluster.data_argument,
                    *(part for name, value in parameters.items() for part in _flag(name, value)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us: the workers drain first
                **cluster.process_arguments(),
            )
            return _Child(process, os.fstat(log).st_size)
        except OSError as error:
            raise PostgresServerError(f"Postgres cannot be run ({error}).") from error
        finally:
            os.close(log)

    async def _accepts_queries(self, child: _Child) -> None:
        """Return when the server accepts queries, and the database is there.

        Raises:
            _ExitedEarly: it ended instead.
        """
        pause_s = PROBE_FIRST_S
        while not await self._probe():
            await asyncio.wait({child.exited}, timeout=pause_s)
            if child.exited.done():
                raise _ExitedEarly(child.exited.result(), _tail(self._log_path, child.log_offset))
            pause_s = min(pause_s * 1.5, PROBE_MAX_S)

    async def _probe(self) -> bool:
        try:
            await _execute(self.dsn, "SELECT 1")
        except asyncpg.InvalidCatalogNameError:
            assert self._sockets is not None
            with contextlib.suppress(asyncpg.DuplicateDatabaseError):
                await _execute(make_dsn(self._sockets, "template1"), f"CREATE DATABASE {ROLE}")
            return True
        except (
            OSError,
            asyncpg.CannotConnectNowError,
            asyncpg.PostgresConnectionError,
            asyncpg.TooManyConnectionsError,
        ):
            return False
        return True

    async def _end_child(self) -> None:
        child = self._child
        if child is not None and not child.exited.done():
            await child.end()
        self._child = None


def _flag(name: str, value: str) -> tuple[str, str]:
    return "-c", f"{name}={value}"


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=CONNECT_S, command_timeout=CONNECT_S)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=CONNECT_S)


async def _finish(work: Coroutine[None, None, None]) -> None:
    """Await ``work`` to its end even when cancelled: it cannot be stopped half-way."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _set_aside(log: Path) -> None:
    log.parent.mkdir(mode=0o700, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_MAX_BYTES:
        log.replace(log.with_suffix(".log.1"))


def _tail(log: Path, offset: int) -> str:
    """Return the last complaint of the server's log behind ``offset``, as one line."""
    with log.open("rb") as file:
        file.seek(max(offset, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = file.read(TAIL_BYTES).decode(errors="replace").splitlines()
    complaints = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    return (complaints or lines or ["its log says nothing"])[-1].strip()
