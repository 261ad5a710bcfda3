"""The cluster's folder: who owns it, how it is made, who may connect, what runs on it.

Everything here blocks; call it off the event loop.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from triptych.adapters.postgres.binaries import Binaries
from triptych.errors import PostgresServerError

ROLE = "triptych"
"""The cluster's only role, and the database's name."""
DEFAULT_ACCOUNTS = ("postgres", "nobody")
"""Whom root lets the server run as, unless told otherwise: the first that exists."""

INITDB_S = 120.0
LEFTOVER_S = 30.0
"""Seconds that an orphaned initdb gets to end, so that its folder can be removed."""
STOP_FAST_S = 120
"""Seconds a fast shutdown gets: it writes a checkpoint, up to ``max_wal_size`` of pages."""
STOP_IMMEDIATE_S = 30
RETRY_S = 0.2

_HBA = f"""\
# Written by Triptych at every start. Unix socket only; the kernel says who is there.
local all "{ROLE}" peer map={ROLE}
"""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's account that the server runs as."""

    name: str
    uid: int
    gid: int

    @classmethod
    def choose(cls, wanted: str | None, folder: Path) -> Self:
        """Return this process' own account, or, as root, an unprivileged one.

        Root's choice is ``wanted``, else the owner of the cluster that is there, else the first
        of `DEFAULT_ACCOUNTS`.

        Raises:
            PostgresServerError: there is no such account, or it may not be used.
        """
        if os.geteuid() != 0:
            own = cls._look_up(os.geteuid())
            if wanted not in {None, own.name}:
                raise PostgresServerError(
                    f"{own.name} cannot run Postgres as {wanted}.", remedy="Only root can."
                )
            return own
        if wanted is not None:
            chosen = cls._look_up(wanted)
        elif folder.is_dir() and folder.stat().st_uid != 0:
            chosen = cls._look_up(folder.stat().st_uid)
        else:
            known = {entry.pw_name for entry in pwd.getpwall()}
            chosen = cls._look_up(next(iter(n for n in DEFAULT_ACCOUNTS if n in known), "nobody"))
        if chosen.uid == 0:
            raise PostgresServerError("Postgres does not run as root.", remedy="Name another user.")
        return chosen

    @classmethod
    def _look_up(cls, who: str | int) -> Self:
        try:
            entry = pwd.getpwnam(who) if isinstance(who, str) else pwd.getpwuid(who)
        except KeyError as error:
            raise PostgresServerError(
                f"This system has no account {who}.",
                remedy="Postgres needs one in /etc/passwd; or set TRIPTYCH_DATABASE_URL to a "
                "server that runs elsewhere.",
            ) from error
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid)

    @staticmethod
    def own_name() -> str:
        """Return the name of this process' account: whom the server lets in.

        Raises:
            PostgresServerError: it has none.
        """
        return Account._look_up(os.geteuid()).name

    @property
    def is_self(self) -> bool:
        """True when it is the account of this process."""
        return self.uid == os.geteuid()


class Cluster:
    """A folder made by initdb, with the programs and the account that it is run by."""

    def __init__(self, folder: Path, account: Account, binaries: Binaries) -> None:
        self.folder = folder
        self.account = account
        self.binaries = binaries

    def ensure(self) -> None:
        """Make the cluster unless it is there.

        It is made in a sibling folder and renamed, so that it is there completely or not at all;
        what a killed attempt left is removed.

        Raises:
            PostgresServerError: it cannot be made; or what is there is of another version, of
                another account, or no cluster. Nothing is touched then.
        """
        for leftover in self.folder.parent.glob(f"{self.folder.name}.new-*"):
            _remove(leftover)
        if self.folder.exists() and any(self.folder.iterdir()):
            self.check()
            return
        made = Path(tempfile.mkdtemp(prefix=f"{self.folder.name}.new-", dir=self.folder.parent))
        if not self.account.is_self:
            os.chown(made, self.account.uid, self.account.gid)
        Cluster(made, self.account, self.binaries)._initdb()
        made.rename(self.folder)
        _sync(self.folder.parent)

    def _initdb(self) -> None:
        done = self._run(
            "initdb",
            f"--username={ROLE}",
            "--encoding=UTF8",
            "--locale=C",
            "--auth-local=peer",
            "--auth-host=reject",
            "--data-checksums",
            "--no-instructions",
            timeout_s=INITDB_S,
        )
        if done.returncode != 0:
            _remove(self.folder)
            raise PostgresServerError(
                f"initdb failed: {_last_line(done.stderr)}",
                remedy=f"Is there space and write permission in {self.folder.parent}?",
            )

    def check(self) -> None:
        """Raise unless the folder is a cluster of these binaries' version and this account.

        Raises:
            PostgresServerError: it is not; with the remedy.
        """
        major = read_major(self.folder)
        if major is None:
            raise PostgresServerError(
                f"{self.folder} is not a Postgres cluster.",
                remedy="Move it away, or name another data folder.",
            )
        if major != self.binaries.major:
            raise PostgresServerError(
                f"{self.folder} was made by Postgres {major}, and the programs here are "
                f"{self.binaries.version}.",
                remedy=f"Set TRIPTYCH_POSTGRES_BIN to a Postgres {major}, or upgrade the "
                "cluster with pg_upgrade.",
            )
        if self.folder.stat().st_uid != self.account.uid:
            raise PostgresServerError(
                f"{self.folder} belongs to user id {self.folder.stat().st_uid}, not to "
                f"{self.account.name}.",
                remedy="Run Triptych as the account that made it.",
            )

    def admit(self, clients: Sequence[str]) -> None:
        """Let these accounts of the operating system in, as `ROLE`, and nobody else.

        Takes effect when the server starts.
        """
        ident = "".join(f'{ROLE} "{client}" "{ROLE}"\n' for client in clients)
        self._write("pg_hba.conf", _HBA)
        self._write("pg_ident.conf", f"# Written by Triptych at every start.\n{ident}")

    def _write(self, name: str, text: str) -> None:
        # The folder is the server's: a name there may be a link set by whoever took it over.
        # A new file that is renamed follows none.
        descriptor, path = tempfile.mkstemp(prefix=f"{name}.", dir=self.folder)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            os.fchmod(descriptor, 0o600)
            if not self.account.is_self:
                os.fchown(descriptor, self.account.uid, self.account.gid)
        Path(path).replace(self.folder / name)

    def stop_orphan(self, socket_folder: Path) -> bool:
        """Stop a postmaster that outlived the process which had started it.

        The pid that a dead postmaster left may belong to anybody by now, and after a restart of
        a container it usually does; such a file is removed, the process left alone.

        Returns:
            True when there was one.

        Raises:
            PostgresServerError: it does not stop.
        """
        pid = _recorded_pid(self.folder / "postmaster.pid")
        orphan = pid is not None and self._is_postmaster(pid, socket_folder)
        if orphan and not (
            self._stop("fast", STOP_FAST_S) or self._stop("immediate", STOP_IMMEDIATE_S)
        ):
            raise PostgresServerError(
                f"Postgres (process {pid}) still runs in {self.folder} and does not stop.",
                remedy=f"End process {pid}.",
            )
        if pid is not None and not orphan and _exists(pid):
            (self.folder / "postmaster.pid").unlink(missing_ok=True)
        for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (socket_folder / name).unlink(missing_ok=True)
        return orphan

    def _stop(self, mode: str, seconds: int) -> bool:
        done = self._run(
            "pg_ctl", "stop", "-w", "-m", mode, "-t", str(seconds), timeout_s=seconds + 10.0
        )
        return done.returncode == 0 or "Is server running?" in done.stderr

    def _is_postmaster(self, pid: int, socket_folder: Path) -> bool:
        if not _exists(pid):
            return False
        if sys.platform != "linux":
            return True  # as pg_ctl does: it trusts the file
        process = Path("/proc") / str(pid)
        try:
            # A postmaster's working folder is its cluster.
            return process.joinpath("cwd").samefile(self.folder)
        except FileNotFoundError:
            return False
        except PermissionError:
            # Root without CAP_SYS_PTRACE, as in a container: ask its command line.
            command = process.joinpath("cmdline").read_bytes()
            return os.fsencode(socket_folder) in command

    def _run(
        self, program: str, *arguments: str, timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self.binaries.program(program), "-D", self.data_argument, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout_s,
                start_new_session=True,
                **self.process_arguments(),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise PostgresServerError(f"{program} cannot be run ({error}).") from error

    @property
    def data_argument(self) -> str:
        """What to give as ``-D`` to a program started with `process_arguments`.

        For another account it names the working folder, which the program has been put into by
        root: no folder above it needs to be open to that account.
        """
        if self.account.is_self or sys.platform != "linux":
            return str(self.folder)
        return "/proc/self/cwd"

    def process_arguments(self) -> dict[str, Any]:
        """Return what `subprocess.Popen` needs to start a program here, as the account."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_"))}
        arguments: dict[str, Any] = {
            "cwd": self.folder,
            "env": environment | {"LC_ALL": "C", "TZ": "UTC"},
            "umask": 0o077,
        }
        if not self.account.is_self:
            arguments |= {
                "user": self.account.uid,
                "group": self.account.gid,
                "extra_groups": [],
            }
        return arguments


def read_major(folder: Path) -> int | None:
    """Return the major version of the cluster in ``folder``; None when there is none."""
    try:
        text = (folder / "PG_VERSION").read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
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


def _remove(folder: Path) -> None:
    """Remove a folder into which an orphaned initdb may still write, for a while."""
    deadline = time.monotonic() + LEFTOVER_S
    while True:
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise PostgresServerError(
                    f"{folder} cannot be removed ({error}).", remedy="Remove it."
                ) from error
            time.sleep(RETRY_S)
        else:
            return


def _sync(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it says nothing."
