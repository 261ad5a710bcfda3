"""The data folder: one place for everything that is embedded, owned by one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from triptych.embedded.errors import DataFolderInUse, DataFolderUnusable

POSTGRES = "postgres"
"""The database cluster."""
OBJECTS = "objects"
"""The object store, where it is a folder."""
MODELS = "models"
"""Models converted or downloaded at first use."""
LOG = "log"
"""Logs of the processes that Triptych starts."""
LOCK = "lock"
"""The file whose lock marks the folder as owned. Never removed: a lock on a removed file would
exclude no one."""
ASKING = "lock.asked"
"""Its lock is shared by those that ask a brief owner for the folder."""
GUESTS = "lock.guests"
"""Its lock is shared by those that use a database that another process runs."""

LOCK_GRACE_S = 0.5
"""Seconds for which a busy lock is retried: `DataFolder.owner` holds it for an instant."""
ASKED_GRACE_S = 0.1
LOCK_RETRY_S = 0.01
COMMAND_MAX_CHARS = 200

BRIEF, LASTING = "brief", "lasting"
STARTING, READY = "starting", "ready"

_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


def _drop_inherited() -> None:
    """Close the locks that a forked child inherited; its parent keeps holding them."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_drop_inherited)


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that owns a data folder."""

    pid: int
    command: str
    brief: bool
    """It runs one command, and gives the folder up to a lasting owner that asks for it."""
    ready: bool
    """Its database has been started, and its schema is up to date."""

    def __str__(self) -> str:
        """Return how messages name it."""
        return f"process {self.pid} ({self.command})"


class DataFolder:
    """A folder that at most one process owns.

    The lock belongs to the process, not to a file's content: it ends with the process,
    however that ends, and neither forked children nor the programs it starts inherit it.
    """

    def __init__(self, path: Path) -> None:
        """Create the folder, readable by its owner only, unless it is there.

        Raises:
            DataFolderUnusable: it cannot be created or is not a folder.
        """
        self.path = path.absolute()
        self._lock: int | None = None
        self._brief = False
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(f"The data folder {self.path} cannot be created", error) from error

    @property
    def postgres(self) -> Path:
        """Where the database cluster is."""
        return self.path / POSTGRES

    @property
    def objects(self) -> Path:
        """Where the object store is, if it is a folder."""
        return self.path / OBJECTS

    @property
    def models(self) -> Path:
        """Where models are kept."""
        return self.path / MODELS

    @property
    def log(self) -> Path:
        """Where logs go."""
        return self.path / LOG

    def acquire(self, *, brief: bool = False, grace_s: float = LOCK_GRACE_S) -> None:
        """Become the folder's owner.

        Args:
            brief: give it up to a lasting owner: look at `asked`.
            grace_s: seconds for which it is tried.

        Raises:
            DataFolderInUse: another process is, or another `DataFolder` of this one.
        """
        descriptor = self._open(LOCK, os.O_RDWR | os.O_CREAT)
        try:
            if not _lock_within(descriptor, fcntl.LOCK_EX, grace_s):
                raise self._in_use(_read(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        _held.add(descriptor)
        self._lock = descriptor
        self._write_owner(brief=brief, ready=False)
        self._brief = brief

    def mark_ready(self) -> None:
        """As its owner, tell others that the database can be used."""
        self._write_owner(brief=self._brief, ready=True)

    def mark_stopping(self) -> None:
        """As its owner, keep others from beginning to use the database."""
        self._write_owner(brief=self._brief, ready=False)

    def _write_owner(self, *, brief: bool, ready: bool) -> None:
        assert self._lock is not None
        kind, state = BRIEF if brief else LASTING, READY if ready else STARTING
        line = f"{os.getpid()}\n{_command()}\n{kind}\n{state}\n".encode()
        # In this order a reader never sees an empty file.
        os.pwrite(self._lock, line, 0)
        os.ftruncate(self._lock, len(line))

    def _in_use(self, owner: Owner | None) -> DataFolderInUse:
        return DataFolderInUse(
            f"{self.path} is in use by {owner or 'an unknown process'}.",
            remedy="Use `triptych submit BRAND --watch` to send work to it, "
            "or name another folder with --data.",
        )

    def release(self) -> None:
        """Release the folder. Safe to repeat."""
        if self._lock is None:
            return
        os.ftruncate(self._lock, 0)
        _held.discard(self._lock)
        os.close(self._lock)
        self._lock = None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Own the folder for as long as the block runs.

        Raises:
            DataFolderInUse: another process owns it.
        """
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def owner(self) -> Owner | None:
        """Return the living process that owns the folder, or None.

        A hint; only `acquire` is authoritative.
        """
        try:
            descriptor = self._open(LOCK, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            deadline = time.monotonic() + LOCK_GRACE_S
            # A lock taken an instant ago has no pid yet: retry for a while.
            while not _try_lock(descriptor, fcntl.LOCK_SH):
                owner = _read(descriptor)
                late = time.monotonic() > deadline
                if owner is not None and (late or _alive(owner.pid)):
                    return owner
                if late:
                    return None
                time.sleep(LOCK_RETRY_S)
            return None
        finally:
            os.close(descriptor)

    @contextmanager
    def ask(self) -> Iterator[None]:
        """Ask the folder's brief owner to give it up, for as long as the block runs."""
        with self._shared(ASKING):
            yield

    def asked(self) -> bool:
        """Return whether a process asks for the folder."""
        return not self._unshared(ASKING, ASKED_GRACE_S)

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Be a guest, for whom an owner goes on for a while, for as long as the block runs."""
        with self._shared(GUESTS):
            yield

    def visited(self) -> bool:
        """Return whether there are guests."""
        return not self._unshared(GUESTS, ASKED_GRACE_S)

    @contextmanager
    def _shared(self, name: str) -> Iterator[None]:
        """Share a lock, which others only test for an instant."""
        descriptor = self._open(name, os.O_RDWR | os.O_CREAT)
        _held.add(descriptor)
        try:
            if not _lock_within(descriptor, fcntl.LOCK_SH, LOCK_GRACE_S):
                raise _unusable(f"{self.path / name} cannot be locked", _busy())
            yield
        finally:
            # After a fork it is closed already, and its number may be another file's.
            if descriptor in _held:
                _held.discard(descriptor)
                os.close(descriptor)

    def _unshared(self, name: str, grace_s: float) -> bool:
        """Return whether no process shares a lock; another that tests it is waited for."""
        try:
            descriptor = self._open(name, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            return _lock_within(descriptor, fcntl.LOCK_EX, grace_s)
        finally:
            os.close(descriptor)

    def _open(self, name: str, flags: int) -> int:
        try:
            return os.open(self.path / name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unusable(f"{self.path / name} cannot be opened", error) from error


def _unusable(problem: str, error: OSError) -> DataFolderUnusable:
    return DataFolderUnusable(
        f"{problem} ({error.strerror}).",
        remedy="Name a folder on a local disk that this account can write.",
    )


def _busy() -> OSError:
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _unusable("The data folder cannot be locked", error) from error
    return True


def _lock_within(descriptor: int, kind: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not _try_lock(descriptor, kind):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOCK_RETRY_S)
    return True


def _read(descriptor: int) -> Owner | None:
    """Return what the lock's holder wrote; None if it has not yet.

    Owners of earlier releases write neither their kind nor their state: they are lasting, and say
    nothing before their database can be used.
    """
    lines = os.pread(descriptor, COMMAND_MAX_CHARS * 8, 0).decode(errors="replace").split("\n")
    if not lines[0].isdecimal():
        return None
    command, kind, state, *_ = [*lines[1:], "", "", ""]
    return Owner(int(lines[0]), command.strip() or "unknown", kind == BRIEF, state != STARTING)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _command() -> str:
    """Return this process's command as one printable line."""
    line = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return "".join(char if char.isprintable() else "?" for char in line)[:COMMAND_MAX_CHARS]
