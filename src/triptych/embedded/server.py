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
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg
import structlog

from triptych.embedded.accounts import Account
from triptych.embedded.binaries import find_binaries, make_reachable
from triptych.embedded.cluster import Cluster, Status, read_major
from triptych.embedded.data_folder import LOG, POSTGRES
from triptych.embedded.errors import PostgresServerError
from triptych.embedded.postmaster import ExitedEarly, Postmaster, ServerLog, launch
from triptych.embedded.roles import ensure_roles
from triptych.embedded.shutdown import Orphan, shut_down
from triptych.embedded.single_user import SingleUser
from triptych.embedded.socket_leftovers import remove_leftovers
from triptych.embedded.sockets import (
    clear_socket_folder,
    dsn_is,
    forget_socket_folder,
    make_dsn,
    read_dsn,
    socket_folder,
    socket_identity,
    write_dsn,
)
from triptych.embedded.waits import Say, Wait, log_line, log_nothing

__all__ = ["EmbeddedPostgres", "answers", "read_dsn", "restart_delay_s"]

START_S = 300.0
"""Seconds until a start must accept queries; crash recovery may need most of them."""
ANSWER_S = 60.0
"""Seconds a probe may wait for an answer; on a slow disk it takes a few."""
CLOSE_S = 5.0
PROBE_FIRST_S = 0.02
PROBE_MAX_S = 0.5
BLOCKED_S = 30.0
"""Seconds for which a start is repeated while the system still counts an earlier server's
processes."""
BLOCKED_RETRY_S = 0.2

MAX_RESTARTS = 10
RESTART_WINDOW_S = 300.0
RESTART_FIRST_S = 0.1
RESTART_MAX_S = 30.0
SOON_S = 1.0
"""A restart that is put off for longer is logged."""

HEALTH_S = 2.0
"""Seconds between two looks at a running server: at what it does not notice itself."""

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
        say: Say = log_line,
    ) -> None:
        """Create the object; nothing is started or changed yet.

        Args:
            data: the data folder; it exists, and the caller owns it.
            binaries: folder of Postgres' programs, instead of the wheel's.
            user: the account that root runs it as; by default the cluster's owner, ``postgres``, or
                ``nobody``.
            extra: parameters of the server that override `PARAMETERS`.
            say: shows the user what a start or a stop waits for.
        """
        self._data = data.resolve()
        self._override = binaries
        self._user = user
        self._extra = dict(extra or {})
        self._say = say
        self._log = ServerLog(self._data / LOG / "postgres.log")
        self._cluster: Cluster | None = None
        self._sockets: Path | None = None
        self._socket: tuple[int, int] | None = None
        self._problem: str | None = None
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
            await self._launch(self._say)
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
        self._child = None
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
            self._sockets = socket_folder(self._data, account)
            write_dsn(self._data, make_dsn(self._sockets))
            binaries = find_binaries(self._override, major=read_major(folder))
            if not account.is_self:
                binaries = make_reachable(binaries)
            self._cluster = cluster = Cluster(folder, account, binaries)
            is_new = cluster.ensure(self._say, sync=self._extra.get("fsync") != "off")
            self._clear(cluster)
            # Nothing of a new one has to recover: it is part of making it.
            say = log_nothing if is_new else self._say
            ensure_roles(SingleUser(cluster, self._log, extra=self._extra, say=say))
            cluster.admit([Account.own_name()])
            for left in remove_leftovers(account):
                _logger.info("socket_folder_removed", folder=str(left))
        except OSError as error:
            raise PostgresServerError(f"The database's folder cannot be used ({error}).") from error

    def _clear(self, cluster: Cluster) -> None:
        """End what still runs on the cluster and remove what would prevent a start. Blocks."""
        orphan = cluster.orphan()
        if orphan is not None:
            shut_down(Orphan(cluster, orphan), cluster, self._say)
            _logger.warning("postgres_orphan_stopped", folder=str(cluster.folder), process=orphan)
        cluster.end_lingering()
        if cluster.clear_pid_file():
            _logger.warning("postgres_pid_file_removed", folder=str(cluster.folder))
        assert self._sockets is not None
        clear_socket_folder(self._sockets)

    def _repair(self) -> None:
        """Prepare another start on the cluster of a postmaster that has ended. Blocks."""
        cluster = self._cluster
        assert cluster is not None
        cluster.check()
        try:
            self._sockets = socket_folder(self._data, cluster.account)
            self._clear(cluster)
        except OSError as error:
            raise PostgresServerError(f"The database's folder cannot be used ({error}).") from error

    async def _launch(self, say: Say) -> None:
        """Start a postmaster and wait for its recovery.

        The processes of an earlier one may block it for a moment after they have ended.

        Raises:
            ExitedEarly: it ended.
            PostgresServerError: it does not accept queries within `START_S`.
        """
        cluster, sockets = self._cluster, self._sockets
        assert cluster is not None
        assert sockets is not None
        wait = Wait("for Postgres to recover", START_S, say)
        while True:
            child = self._child = launch(cluster, sockets, self._log, self._extra)
            wait.what = f"for Postgres to recover: process {child.pid}"
            try:
                if await self._accepts_queries(child, wait):
                    self._socket = socket_identity(sockets)
                    return
                await self._end_child()
            except ExitedEarly as early:
                if not early.blocked or wait.waited_s > BLOCKED_S:
                    raise
            await asyncio.sleep(BLOCKED_RETRY_S)
            await _finish(self._repair)

    async def _supervise(self) -> None:
        """Restart the postmaster whenever it dies, for as long as there is a cluster to run."""
        while True:
            code = await self._until_ended()
            delay_s = restart_delay_s(self._restarts, time.monotonic())
            if delay_s > SOON_S:
                _logger.warning("postgres_restart_put_off", seconds=round(delay_s, 1))
            await asyncio.sleep(delay_s)
            self._restarts.append(time.monotonic())
            try:
                await _finish(self._repair)
                await self._launch(log_line)
            except ExitedEarly:
                continue  # the same exit is detected again at once, with a longer wait
            except PostgresServerError as error:
                _logger.error("postgres_given_up", reason=str(error))
                raise
            _logger.warning("postgres_restarted", after=code)

    async def _until_ended(self) -> int:
        """Return the postmaster's exit code; end it if no client can reach it any more."""
        child = self._child
        assert child is not None
        while True:
            await asyncio.wait({child.exited}, timeout=HEALTH_S)
            if child.exited.done():
                code, said = child.exited.result(), self._log.complaint()
                _logger.error("postgres_died", code=code, said=said)
                return code
            if ailment := await asyncio.to_thread(self._look):
                _logger.error("postgres_unreachable", because=ailment)
                await self._end_child()
                return await child.exited

    def _look(self) -> str | None:
        """Return why clients cannot reach the running server, if that is so. Blocks."""
        self._log.bound()
        try:
            ailment, problem = self._ailment(), None
        except OSError as error:
            ailment, problem = None, str(error)
        if problem is not None and problem != self._problem:
            _logger.warning("postgres_not_looked_at", error=problem)
        self._problem = problem
        return ailment

    def _ailment(self) -> str | None:
        cluster, sockets = self._cluster, self._sockets
        assert cluster is not None
        assert sockets is not None
        if not dsn_is(self._data, self.dsn):
            write_dsn(self._data, self.dsn)
            _logger.warning("postgres_address_written", data=str(self._data))
        if self.pid is not None and cluster.status(self.pid) is Status.STOPPING:
            return "it was asked to shut down and waits for its sessions to end"
        found = socket_identity(sockets)
        if found is None or found != self._socket:
            return f"its socket in {sockets} was removed"
        return None

    async def _accepts_queries(self, child: Postmaster, wait: Wait) -> bool:
        """Return True when the server accepts queries.

        Returns False when it never will: it was asked to shut down, or it is ready and its socket
        is gone. A server of a folder that was at this path before removes it when it ends.

        Raises:
            ExitedEarly: it ended instead.
            PostgresServerError: it does not within the limit of ``wait``.
        """
        pause_s = PROBE_FIRST_S
        while not await self._probe():
            await asyncio.wait({child.exited}, timeout=pause_s)
            if child.exited.done():
                raise ExitedEarly(child.exited.result(), self._log.complaint())
            if not wait.goes_on():
                raise PostgresServerError(
                    f"Postgres did not accept queries within {START_S:.0f} s.",
                    remedy=self._see_log,
                )
            if await asyncio.to_thread(self._unreachable, child):
                return False
            pause_s = min(pause_s * 1.5, PROBE_MAX_S)
        return True

    def _unreachable(self, child: Postmaster) -> bool:
        assert self._cluster is not None
        assert self._sockets is not None
        status = self._cluster.status(child.pid)
        lost = status is Status.READY and socket_identity(self._sockets) is None
        return lost or status is Status.STOPPING

    async def _probe(self) -> bool:
        try:
            await _execute(self.dsn, "SELECT 1")
        except _NOT_YET:
            return False
        except asyncpg.PostgresError as error:
            raise PostgresServerError(
                f"Postgres runs but refuses the connection ({error}).", remedy=self._see_log
            ) from error
        return True

    async def _end_child(self) -> None:
        child, cluster = self._child, self._cluster
        if child is not None and cluster is not None and not child.exited.done():
            await _finish(partial(shut_down, child, cluster, self._say))


async def answers(dsn: str) -> bool:
    """Return whether the server at ``dsn`` accepts queries; False while it starts or recovers."""
    try:
        await _execute(dsn, "SELECT 1")
    except (*_NOT_YET, asyncpg.InvalidCatalogNameError):
        return False
    except asyncpg.PostgresError:
        return True  # It refuses this client, whose own connection reports why.
    return True


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
