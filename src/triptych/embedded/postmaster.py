"""One postmaster: its settings, its start as a child process, its log, its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

import structlog

from triptych.embedded.cluster import Cluster
from triptych.embedded.errors import PostgresServerError
from triptych.embedded.sockets import PORT

LOG_MAX_BYTES = 10 * 1024 * 1024
"""A larger log is renamed; one such file is kept."""
TAIL_BYTES = 16 * 1024

BLOCKED = ('lock file "postmaster.pid" already exists', "pre-existing shared memory block")
"""What a postmaster prints while an earlier one, or its sessions, still exist."""

PARAMETERS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    # Nobody can connect as a superuser, so none of them is kept for one.
    "superuser_reserved_connections": "0",
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
    # A client that hangs with a run's row locked must release it eventually.
    "idle_in_transaction_session_timeout": "10min",
    # The log is for people: only what went wrong, without the data of statements.
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",
    "log_line_prefix": "%m [%p] %b ",
}
"""Settings given on the command line, where no file overrides them."""

_logger = structlog.get_logger(__name__)


class ServerLog:
    """The file that the server logs errors to; of bounded size."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = 0

    def open(self) -> int:
        """Return a descriptor to append to it; `complaint` reads from this position."""
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        self.bound()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._seen = os.fstat(descriptor).st_size
        return descriptor

    def bound(self) -> None:
        """Rotate the log if it is too large; its writer continues with an empty file."""
        try:
            if self.path.exists() and self.path.stat().st_size > LOG_MAX_BYTES:
                shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
                os.truncate(self.path, 0)
        except OSError as error:
            _logger.warning("postgres_log_too_large", log=str(self.path), error=str(error))

    def complaint(self) -> str:
        """Return the server's last error since `open`; errors of sessions do not count."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(self._seen, file.seek(0, os.SEEK_END) - TAIL_BYTES))
                lines = file.read(TAIL_BYTES).decode(errors="replace").splitlines()
        except OSError as error:
            return f"its log cannot be read ({error})"
        serious = [
            line
            for line in lines
            if re.search(r"(FATAL|PANIC): ", line) and "client backend" not in line
        ]
        return serious[-1].strip() if serious else "no error in its log"


class Postmaster:
    """A postmaster, and the future that its exit completes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._process = process
        self._ended = threading.Event()
        threading.Thread(target=self._wait, name="postgres-exit", daemon=True).start()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; no change if it has ended."""
        self._process.send_signal(number)

    def ended(self) -> bool:
        """Return whether it has ended; may be called in any thread, a moment before `exited`."""
        return self._ended.is_set()

    def _wait(self) -> None:
        code = self._process.wait()
        self._ended.set()
        # The loop is closed: its owner is gone, and there is nothing to notify.
        with contextlib.suppress(RuntimeError):
            self.exited.get_loop().call_soon_threadsafe(self._report, code)

    def _report(self, code: int) -> None:
        if not self.exited.done():
            self.exited.set_result(code)


class ExitedEarly(Exception):
    """The postmaster ended before it accepted queries."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(said)
        self.code = code
        self.said = said

    @property
    def blocked(self) -> bool:
        """True if an earlier server's processes prevented the start."""
        return is_blocked(self.said)


def is_blocked(said: str) -> bool:
    """Return whether that is what a start prints while an earlier server's processes exist."""
    return any(text in said for text in BLOCKED)


def launch(cluster: Cluster, sockets: Path, log: ServerLog, extra: Mapping[str, str]) -> Postmaster:
    """Start a postmaster on ``cluster``; it does not accept queries yet.

    Does not yield to other tasks: a cancelled start never loses a child it has just created.

    Raises:
        PostgresServerError: the program cannot be run.
    """
    own = {"cluster_name": cluster.name, "unix_socket_directories": str(sockets)}
    parameters = {**PARAMETERS, **own, **extra}
    flags = [part for name, value in parameters.items() for part in ("-c", f"{name}={value}")]
    try:
        output = log.open()
        try:
            with cluster.entered() as (place, how):
                process = subprocess.Popen(
                    [cluster.binaries.program("postgres"), "-D", place, *flags],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # Ctrl-C must not reach it: the workers drain first
                    **how,
                )
        finally:
            os.close(output)
    except OSError as error:
        raise PostgresServerError(f"Postgres cannot be run ({error}).") from error
    return Postmaster(process)
