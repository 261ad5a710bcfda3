"""The embedded Postgres: a child process that is started, watched, restarted and stopped.

The process that runs it owns the data folder (`triptych.embedded.data_folder.DataFolder`): a
postmaster that already runs there is an orphan and is stopped.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
import structlog

from triptych.embedded.accounts import Account
from triptych.embedded.binaries import find_binaries, make_reachable
from triptych.embedded.cluster import ROLE, Cluster, read_major
from triptych.embedded.data_folder import LOG, POSTGRES
from triptych.embedded.errors import PostgresServerError
from triptych.embedded.postmaster import ExitedEarly, Postmaster, ServerLog, launch
from triptych.embedded.sockets import (
    clear_socket_folder,
    forget_socket_folder,
    make_dsn,
    read_dsn,
    socket_folder,
    write_dsn,
)

__all__ = ["EmbeddedPostgres", "read_dsn", "restart_delay_s"]

START_S = 300.0
"""Seconds until the first start must accept queries; crash recovery may need most of them."""
ANSWER_S = 60.0
"""Seconds a probe may wait for an answer; creating the database on a slow disk takes a few."""
CLOSE_S = 5.0
PROBE_FIRST_S = 0.02
PROBE_MAX_S = 0.5
LINGERING_FIRST_S = 0.2
LINGERING_MAX_S = 5.0
"""Seconds between attempts while a killed postmaster's backends are still ending."""

MAX_RESTARTS = 10
RESTART_WINDOW_S = 300.0
RESTART_FIRST_S = 0.1
RESTART_MAX_S = 30.0

LOG_CHECK_S = 3600.0
"""Seconds between two checks of the log's size."""

_NOT_YET = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
)
"""The answers of a server that is starting, recovering or shutting down."""

_logger = structlog.get_logger(__name__)


def restart_delay_s(recent: Sequence[float], now: float) -> float:
    """Return the seconds to wait before a restart, given when earlier ones were (ascending).

    Doubles with each restart in the last `RESTART_WINDOW_S`, jittered by half; after
    `MAX_RESTARTS` in that window the next one waits until the oldest is outside it.
    """
    inside = [at for at in recent if now - at < RESTART_WINDOW_S]
    if len(inside) >= MAX_RESTARTS:
        return inside[-MAX_RESTARTS] + RESTART_WINDOW_S - now
    backoff = min(RESTART_FIRST_S * 2.0 ** len(inside), RESTART_MAX_S)
    return backoff * random.uniform(0.5, 1.5)  # noqa: S311


class EmbeddedPostgres:
    """A Postgres server whose data is in one folder and which only this account can reach.

    Committed data survives the death of any process at any point. A postmaster that dies is
    restarted automatically, at most `MAX_RESTARTS` times in `RESTART_WINDOW_S`. As root the
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
        """Create the object; nothing is started or changed yet.

        Args:
            data: the data folder; it exists, and the caller owns it.
            binaries: folder of Postgres' programs, instead of the wheel's.
            user: the account that root runs it as; by default the cluster's owner, ``postgres``, or
                ``nobody``.
            extra: parameters of the server that override `PARAMETERS`.
        """
        self._data = data.resolve()
        self._override = binaries
        self._user = user
        self._extra = dict(extra or {})
        self._log = ServerLog(self._data / LOG / "postgres.log")
        self._cluster: Cluster | None = None
        self._sockets: Path | None = None
        self._child: Postmaster | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._restarts: deque[float] = deque(maxlen=MAX_RESTARTS)

    @property
    def dsn(self) -> str:
        """The database's address for asyncpg.

        Raises:
            PostgresServerError: it is not started.
        """
        if self._sockets is None:
            raise PostgresServerError("The embedded Postgres is not started.")
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
        """Create the cluster if there is none, start it, and return when it accepts queries.

        No change while it is started.

        Raises:
            PostgresServerError: it cannot be created or started; with the last error in its log.
        """
        if self._supervisor is not None and not self._supervisor.done():
            return
        await self.stop()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="postgres-supervisor")

    async def _start(self) -> None:
        await _finish(self._prepare)
        try:
            async with asyncio.timeout(START_S):
                await self._launch()
        except TimeoutError as error:
            raise PostgresServerError(
                f"Postgres did not accept queries within {START_S:.0f} s.", remedy=self._see_log
            ) from error
        except ExitedEarly as early:
            raise PostgresServerError(
                f"Postgres ended with {early.code}: {early.said}", remedy=self._see_log
            ) from early

    async def stop(self) -> None:
        """Stop it: sessions are ended, a checkpoint is written. Safe to repeat.

        Raises:
            PostgresServerError: it does not end.
        """
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)
        await self._end_child()
        sockets, self._sockets = self._sockets, None
        if sockets is not None:
            forget_socket_folder(self._data, sockets)

    async def watch(self) -> None:
        """Return when it is stopped.

        Raises:
            PostgresServerError: it died and can never be started again.
        """
        supervisor = self._supervisor
        if supervisor is not None:
            await asyncio.wait({supervisor})
            if not supervisor.cancelled():
                supervisor.result()

    @property
    def _see_log(self) -> str:
        return f"Its log is {self._log.path}."

    def _prepare(self) -> None:
        """Prepare everything a postmaster needs, and stop any other on the cluster. Blocks."""
        try:
            folder = self._data / POSTGRES
            account = Account.choose(self._user, folder)
            self._sockets = sockets = socket_folder(self._data, account)
            write_dsn(self._data, make_dsn(sockets))
            binaries = find_binaries(self._override, major=read_major(folder))
            if not account.is_self:
                binaries = make_reachable(binaries)
            cluster = Cluster(folder, account, binaries)
            cluster.ensure(sync=self._extra.get("fsync") != "off")
            if cluster.stop_orphan():
                _logger.warning("postgres_orphan_stopped", folder=str(folder))
            clear_socket_folder(sockets)
            cluster.admit([Account.own_name()])
        except OSError as error:
            raise PostgresServerError(f"The database's folder cannot be used ({error}).") from error
        self._cluster = cluster

    async def _launch(self) -> None:
        """Start a postmaster and wait for its recovery; wait for a dead one's last processes.

        Raises:
            ExitedEarly: it ended for another reason than a dead one's processes.
        """
        cluster, sockets = self._cluster, self._sockets
        assert cluster is not None
        assert sockets is not None
        pause_s = LINGERING_FIRST_S
        while True:
            self._child = launch(cluster, sockets, self._log, self._extra)
            try:
                await self._accepts_queries(self._child)
            except ExitedEarly as early:
                if not early.passing:
                    raise
                if early.lingering:
                    await _finish(cluster.end_lingering)
            else:
                return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LINGERING_MAX_S)

    async def _supervise(self) -> None:
        """Restart the postmaster whenever it dies, for as long as there is a cluster to run."""
        cluster = self._cluster
        assert cluster is not None
        while True:
            code = await self._wait_for_death()
            delay_s = restart_delay_s(self._restarts, time.monotonic())
            said = self._log.complaint()
            _logger.error("postgres_died", code=code, said=said, restart_in_s=round(delay_s, 1))
            await asyncio.sleep(delay_s)
            self._restarts.append(time.monotonic())
            try:
                await _finish(cluster.check)
                await self._launch()
            except ExitedEarly:
                continue  # the same exit is detected again at once, with a longer wait
            except PostgresServerError as error:
                _logger.error("postgres_given_up", reason=str(error))
                raise
            _logger.warning("postgres_restarted", after=code)

    async def _wait_for_death(self) -> int:
        child = self._child
        assert child is not None
        while not child.exited.done():
            await asyncio.wait({child.exited}, timeout=LOG_CHECK_S)
            await _finish(self._log.bound)
        return child.exited.result()

    async def _accepts_queries(self, child: Postmaster) -> None:
        """Return when the server accepts queries, and the database is there.

        Raises:
            ExitedEarly: it ended instead.
        """
        pause_s = PROBE_FIRST_S
        while not await self._probe():
            await asyncio.wait({child.exited}, timeout=pause_s)
            if child.exited.done():
                raise ExitedEarly(child.exited.result(), self._log.complaint())
            pause_s = min(pause_s * 1.5, PROBE_MAX_S)

    async def _probe(self) -> bool:
        assert self._sockets is not None
        try:
            try:
                await _execute(self.dsn, "SELECT 1")
            except asyncpg.InvalidCatalogNameError:
                # The first start, or one that was killed before this point.
                await _execute(make_dsn(self._sockets, "postgres"), f"CREATE DATABASE {ROLE}")
        except _NOT_YET:
            return False
        except asyncpg.PostgresError as error:
            raise PostgresServerError(
                f"Postgres runs but refuses the connection ({error}).", remedy=self._see_log
            ) from error
        return True

    async def _end_child(self) -> None:
        child = self._child
        if child is not None and not child.exited.done():
            await child.end()
        self._child = None


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=ANSWER_S, command_timeout=ANSWER_S)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=CLOSE_S)


async def _finish(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread to its end, even when cancelled: it cannot be interrupted."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
