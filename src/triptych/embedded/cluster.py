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
from pathlib import Path
from typing import Any

from triptych.embedded.accounts import Account
from triptych.embedded.binaries import Binaries
from triptych.embedded.errors import PostgresServerError
from triptych.embedded.processes import serving

ROLE = "triptych"
"""The cluster's only role, and the database's name."""

INITDB_S = 120.0
LEFTOVER_S = 30.0
"""Seconds that an orphaned initdb gets to end, so that its folder can be removed."""
STOP_FAST_S = 120
"""Seconds a fast shutdown gets: it writes a checkpoint, up to ``max_wal_size`` of pages."""
STOP_IMMEDIATE_S = 30
RETRY_S = 0.2

INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
"""Variables of the server's environment; all others, such as tokens and PG* settings, are
removed."""

_HBA = f"""\
# Written by Triptych at every start. Unix socket only; the kernel identifies the peer.
local all "{ROLE}" peer map={ROLE}
"""


class Cluster:
    """A folder created by initdb, with the programs and the account that run it."""

    def __init__(self, folder: Path, account: Account, binaries: Binaries) -> None:
        self.folder = folder
        self.account = account
        self.binaries = binaries

    def ensure(self, *, sync: bool = True) -> None:
        """Create the cluster unless it exists.

        It is created in a sibling folder and renamed, so that it exists completely or not at all;
        remains of a killed attempt are removed.

        Args:
            sync: make it survive a power failure before it is renamed.

        Raises:
            PostgresServerError: it cannot be created; or the existing folder is of another version
                or account, or not a cluster. Nothing is changed then.
        """
        for leftover in self.folder.parent.glob(f"{self.folder.name}.new-*"):
            _remove(leftover)
        if self.folder.exists() and not _is_empty(self.folder):
            self.check()
            return
        made = Path(tempfile.mkdtemp(prefix=f"{self.folder.name}.new-", dir=self.folder.parent))
        if not self.account.is_self:
            os.chown(made, self.account.uid, self.account.gid, follow_symlinks=False)
        Cluster(made, self.account, self.binaries)._initdb(sync=sync)
        made.rename(self.folder)
        _sync(self.folder.parent)

    def _initdb(self, *, sync: bool) -> None:
        done = self._run(
            "initdb",
            f"--username={ROLE}",
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
            _remove(self.folder)
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
        """Let only these accounts of the operating system connect, as `ROLE`.

        Takes effect when the server starts.
        """
        ident = "".join(f'{ROLE} "{client}" "{ROLE}"\n' for client in clients)
        self._write("pg_hba.conf", _HBA)
        self._write("pg_ident.conf", f"# Written by Triptych at every start.\n{ident}")

    def _write(self, name: str, text: str) -> None:
        # The server owns the folder: if it was taken over, a name in it may be a link.
        # A new file that is renamed follows none.
        descriptor, path = tempfile.mkstemp(prefix=f"{name}.", dir=self.folder)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            os.fchmod(descriptor, 0o600)
            if not self.account.is_self:
                os.fchown(descriptor, self.account.uid, self.account.gid)
        Path(path).replace(self.folder / name)

    @property
    def name(self) -> str:
        """The name of the server's processes: no other cluster has it.

        Moving the folder does not change it; a copy has another.
        """
        found = self.folder.stat()
        return f"{ROLE}-{found.st_dev:x}-{found.st_ino:x}"

    def stop_orphan(self) -> bool:
        """Stop a postmaster that outlived the process that started it.

        The pid of a dead postmaster may belong to another process by now, and after a restart of a
        container it usually does; then the file is removed and the process is not touched.

        Returns:
            True when there was one.

        Raises:
            PostgresServerError: it does not stop.
        """
        pid = _recorded_pid(self.folder / "postmaster.pid")
        if pid is None:
            return False
        if pid not in serving(self.name, self.account.uid):
            if _exists(pid):
                (self.folder / "postmaster.pid").unlink(missing_ok=True)
            return False
        if not (self._stop("fast", STOP_FAST_S) or self._stop("immediate", STOP_IMMEDIATE_S)):
            raise PostgresServerError(
                f"Postgres (process {pid}) still runs in {self.folder} and does not stop.",
                remedy=f"End process {pid}.",
            )
        return True

    def end_lingering(self) -> None:
        """End the sessions of a postmaster that was killed; call only when it is dead.

        A session that computes does not notice, and no new postmaster can start next to it. For the
        data this is another crash: committed changes are in the log.
        """
        for pid in serving(self.name, self.account.uid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)

    def _stop(self, mode: str, seconds: int) -> bool:
        done = self._run(
            "pg_ctl", "stop", "-w", "-m", mode, "-t", str(seconds), timeout_s=seconds + 10.0
        )
        return done.returncode == 0 or "Is server running?" in done.stderr

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
    try:
        first = path.read_text(errors="replace").partition("\n")[0].strip()
    except FileNotFoundError:
        return None
    return int(first) if first.isdecimal() and int(first) > 1 else None


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


def _remove(folder: Path) -> None:
    """Remove a folder into which an orphaned initdb may still write, for a while."""
    deadline = time.monotonic() + LEFTOVER_S
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            if time.monotonic() > deadline:
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
