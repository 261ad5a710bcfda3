"""The cluster's folder: its owner, its creation, who may connect, what runs on it.

Everything here blocks; call it off the event loop.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any

from triptych.embedded.accounts import Account
from triptych.embedded.binaries import Binaries
from triptych.embedded.errors import PostgresServerError
from triptych.embedded.processes import Serving, serving
from triptych.embedded.waits import Say, Wait

ROLE = "triptych"
"""The role that the application connects as, and the name of the database that it owns."""
ADMIN = "triptych_admin"
"""The superuser. Nobody can connect as it: see `triptych.embedded.roles`."""

INITDB_S = 120.0
LEFTOVER_S = 30.0
"""Seconds that an orphaned initdb gets to end, so that its folder can be removed."""
RETRY_S = 0.2
STATE_S = 10.0
"""Seconds that ``pg_controldata`` may take."""
LINGERING_QUIT_S = 2.0
LINGERING_KILL_S = 10.0
"""Seconds that the processes of a dead postmaster have to end when asked, and when killed."""
PID_FILE = "postmaster.pid"
STATUS_LINE = 7
"""The line of `PID_FILE`, from 0, in which the postmaster says what it does."""

INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
"""Variables of the server's environment; all others, such as tokens and PG* settings, are
removed."""

_HBA = f"""\
# Written by Triptych at every start. Unix socket only; the kernel identifies the peer.
# Whoever is not named here is refused: so is the superuser.
local "{ROLE}" "{ROLE}" peer map={ROLE}
"""


class State(Enum):
    """What the cluster's control file says that its server does."""

    SHUTTING_DOWN = "shutting down"
    """It writes the checkpoint of a shutdown; the sessions have ended."""
    RECOVERING = "in crash recovery"
    OTHER = "other"
    """It serves or does not run; or the file cannot be read."""


class Status(Enum):
    """What a running postmaster says of itself in its pid file."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    UNKNOWN = ""


class Cluster:
    """A folder created by initdb, with the programs and the account that run it."""

    def __init__(self, folder: Path, account: Account, binaries: Binaries) -> None:
        self.folder = folder
        self.account = account
        self.binaries = binaries
        self._name: str | None = None

    def ensure(self, say: Say, *, sync: bool = True) -> bool:
        """Create the cluster unless it exists; return whether it was created.

        It is created in a sibling folder and renamed, so that it exists completely or not at all;
        remains of a killed attempt are removed.

        Args:
            say: shows what is waited for.
            sync: make it survive a power failure before it is renamed.

        Raises:
            PostgresServerError: it cannot be created; or the existing folder is of another version
                or account, or not a cluster. Nothing is changed then.
        """
        for leftover in self.folder.parent.glob(f"{self.folder.name}.new-*"):
            _remove(leftover, say)
        if self.folder.exists() and not _is_empty(self.folder):
            self.check()
            return False
        made = Path(tempfile.mkdtemp(prefix=f"{self.folder.name}.new-", dir=self.folder.parent))
        if not self.account.is_self:
            os.chown(made, self.account.uid, self.account.gid, follow_symlinks=False)
        Cluster(made, self.account, self.binaries)._initdb(say, sync=sync)
        made.rename(self.folder)
        _sync(self.folder.parent)
        return True

    def _initdb(self, say: Say, *, sync: bool) -> None:
        done = self._run(
            "initdb",
            f"--username={ADMIN}",
            "--encoding=UTF8",
            "--locale=C",
            "--auth-local=peer",
            "--auth-host=reject",
            "--data-checksums",
            "--no-instructions",
            *(() if sync else ("--no-sync",)),
            timeout_s=INITDB_S,
        )
        if done.returncode != 0:
            _remove(self.folder, say)
            raise PostgresServerError(
                f"initdb failed: {_complaint(done.stderr)}",
                remedy=f"Is there space and write permission in {self.folder.parent}?",
            )

    def check(self) -> None:
        """Raise unless the folder is a cluster of these binaries' version and this account.

        Raises:
            PostgresServerError: it is not; with the remedy.
        """
        if not self.folder.exists():
            raise PostgresServerError(f"The database's folder {self.folder} is gone.")
        owner = self.folder.stat().st_uid
        if owner != self.account.uid and self.account.is_self:
            raise self._foreign(owner, "Run Triptych as the account that created it.")
        major = read_major(self.folder)
        if major is None:
            raise PostgresServerError(
                f"{self.folder} is not a Postgres cluster.",
                remedy="Move it away, or name another data folder.",
            )
        if major != self.binaries.major:
            raise PostgresServerError(
                f"{self.folder} was created by Postgres {major}, but the programs are "
                f"{self.binaries.version}.",
                remedy=f"Set TRIPTYCH_POSTGRES_BIN to a Postgres {major}, or upgrade the "
                "cluster with pg_upgrade.",
            )
        if owner != self.account.uid:
            raise self._foreign(owner, f"Give it to {self.account.name} with chown -R.")

    def _foreign(self, owner: int, remedy: str) -> PostgresServerError:
        return PostgresServerError(
            f"{self.folder} belongs to user id {owner}, not to {self.account.name}.", remedy=remedy
        )

    def admit(self, clients: Sequence[str]) -> None:
        """Let only these accounts of the operating system connect, as `ROLE`, to its database.

        Takes effect when the server starts.
        """
        ident = "".join(f'{ROLE} "{client}" "{ROLE}"\n' for client in clients)
        self.write("pg_hba.conf", _HBA)
        self.write("pg_ident.conf", f"# Written by Triptych at every start.\n{ident}")

    def read(self, name: str) -> str:
        """Return the text of a file in the folder; empty if there is none."""
        return "\n".join(_lines(self.folder / name))

    def write(self, name: str, text: str, *, sync: bool = False) -> None:
        """Replace a file in the folder, which only the server's account can read.

        ``sync``: make it survive a power failure before this returns.

        Raises:
            OSError: it cannot be written.
        """
        # The server owns the folder: if it was taken over, a name in it may be a link.
        # A new file that is renamed follows none.
        descriptor, path = tempfile.mkstemp(prefix=f"{name}.", dir=self.folder)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            os.fchmod(descriptor, 0o600)
            if not self.account.is_self:
                os.fchown(descriptor, self.account.uid, self.account.gid)
            if sync:
                file.flush()
                os.fsync(descriptor)
        Path(path).replace(self.folder / name)
        if sync:
            _sync(self.folder)

    @property
    def name(self) -> str:
        """The name of the server's processes: no other cluster has it.

        Moving the folder does not change it; a copy has another.
        """
        if self._name is None:
            found = self.folder.stat()
            self._name = f"{ROLE}-{found.st_dev:x}-{found.st_ino:x}"
        return self._name

    def serving(self) -> Serving:
        """Return the processes that serve this cluster."""
        return serving(self.name, self.account.uid)

    def send(self, number: signal.Signals, *, postmasters: bool = False) -> None:
        """Send a signal to every process that serves this cluster, or to its postmaster alone."""
        found = self.serving()
        for pid in found.postmasters if postmasters else found.postmasters | found.others:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def state(self) -> State:
        """Return what the server does, as its control file says."""
        try:
            said = self._run("pg_controldata", timeout_s=STATE_S).stdout
        except PostgresServerError:
            return State.OTHER  # Only whoever waits for a shutdown asks, and it has a limit.
        found = re.search(r"^Database cluster state:\s*(.+?)\s*$", said, re.MULTILINE)
        return next((state for state in State if found and found[1] == state.value), State.OTHER)

    def status(self, pid: int) -> Status:
        """Return what the running postmaster of that pid says of itself; UNKNOWN at first."""
        lines = _lines(self.folder / PID_FILE)
        if len(lines) <= STATUS_LINE or _pid_in(lines) != pid:
            return Status.UNKNOWN
        said = lines[STATUS_LINE].strip()
        return next((status for status in Status if status.value == said), Status.UNKNOWN)

    def orphan(self) -> int | None:
        """Return the pid of a postmaster that outlived the process that started it, or None.

        What `PID_FILE` says is not relied on: it may be empty, and after a restart of a container
        its pid is usually another process'.
        """
        found = self.serving().postmasters
        recorded = _recorded_pid(self.folder / PID_FILE)
        return recorded if recorded in found else min(found, default=None)

    def clear_pid_file(self) -> bool:
        """Remove the pid file of a dead postmaster if the next one would refuse to start for it.

        That is one without a pid, left by a crash of the machine, or with the pid of another
        process, which is not touched. Call only when no process serves the cluster.

        Returns:
            True when there was one.
        """
        path = self.folder / PID_FILE
        if not path.exists():
            return False
        pid = _recorded_pid(path)
        if pid is not None and not _exists(pid):
            return False
        path.unlink(missing_ok=True)
        return True

    def end_lingering(self) -> None:
        """End the processes of a dead postmaster; call only when it is dead.

        A session that computes or is stopped does not notice its postmaster's end, and no new one
        can start next to it. For the data this is another crash: committed changes are in the log.

        Raises:
            PostgresServerError: some do not end.
        """
        for number, seconds in (
            (signal.SIGQUIT, LINGERING_QUIT_S),
            (signal.SIGKILL, LINGERING_KILL_S),
        ):
            deadline = time.monotonic() + seconds
            while left := self.serving():
                if time.monotonic() > deadline:
                    break
                self.send(number)
                time.sleep(RETRY_S)
            else:
                return
        pids = ", ".join(map(str, sorted(left.postmasters | left.others)))
        raise PostgresServerError(
            f"Processes of a dead Postgres still run in {self.folder}: {pids}.",
            remedy="End them.",
        )

    def _run(
        self, program: str, *arguments: str, timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        try:
            with self.entered() as (place, how):
                return subprocess.run(
                    [self.binaries.program(program), "-D", place, *arguments],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    check=False,
                    timeout=timeout_s,
                    start_new_session=True,
                    **how,
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise PostgresServerError(f"{program} cannot be run ({error}).") from error

    @contextmanager
    def entered(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the value of ``-D`` and the arguments of `subprocess.Popen` for a program.

        The folders above the cluster may be open to root alone. So a program that runs as
        another account is handed the folder already open, and its path leads through that.
        """
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        how: dict[str, Any] = {
            "cwd": "/",
            "env": environment | {"LC_ALL": "C", "TZ": "UTC"},
            "umask": 0o077,
        }
        if self.account.is_self:
            yield str(self.folder), how
            return
        how |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        if sys.platform != "linux":
            yield str(self.folder), how
            return
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{descriptor}", how | {"pass_fds": (descriptor,)}
        finally:
            os.close(descriptor)


def read_major(folder: Path) -> int | None:
    """Return the major version of the cluster in ``folder``; None if there is none."""
    try:
        text = (folder / "PG_VERSION").read_text().strip()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    return int(text) if re.fullmatch(r"\d{1,3}", text) else None


def _recorded_pid(path: Path) -> int | None:
    return _pid_in(_lines(path))


def _pid_in(lines: list[str]) -> int | None:
    first = lines[0].strip() if lines else ""
    return int(first) if first.isdecimal() and int(first) > 1 else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_empty(folder: Path) -> bool:
    try:
        return not any(folder.iterdir())
    except (NotADirectoryError, PermissionError):
        return False


def _remove(folder: Path, say: Say) -> None:
    """Remove a folder into which an orphaned initdb may still write, for a while."""
    wait = Wait(f"to remove {folder}", LEFTOVER_S, say)
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            if not wait.goes_on():
                raise PostgresServerError(
                    f"{folder} cannot be removed ({error}).", remedy="Remove it."
                ) from error
            time.sleep(RETRY_S)


def _sync(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _complaint(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"error:|FATAL:|PANIC:", line)]
    return (errors or lines or ["it printed nothing."])[-1]
