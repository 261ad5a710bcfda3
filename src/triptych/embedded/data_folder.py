"""The data folder: one place for everything that is embedded, owned by one process at a time."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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

LOCK_GRACE_S = 0.5
"""Seconds for which a busy lock is retried: `DataFolder.owner` holds it for an instant."""
LOCK_RETRY_S = 0.01
COMMAND_MAX_CHARS = 200

_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


def _drop_inherited() -> None:
    """Close the locks that a forked child inherited; its parent keeps holding them."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_drop_inherited)


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

    def acquire(self) -> None:
        """Become the folder's owner.

        Raises:
            DataFolderInUse: another process is, or another `DataFolder` of this one.
        """
        descriptor = self._open(os.O_RDWR | os.O_CREAT)
        try:
            deadline = time.monotonic() + LOCK_GRACE_S
            while not _try_lock(descriptor, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise self._in_use(*_read(descriptor))
                time.sleep(LOCK_RETRY_S)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n{_command()}\n".encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        _held.add(descriptor)
        self._lock = descriptor

    def _in_use(self, pid: int | None, command: str) -> DataFolderInUse:
        return DataFolderInUse(
            f"{self.path} is in use by process {pid or 'unknown'} ({command}).",
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

    def owner(self) -> int | None:
        """Return the pid of the living process that owns the folder, or None.

        A hint; only `acquire` is authoritative.
        """
        try:
            descriptor = self._open(os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            deadline = time.monotonic() + LOCK_GRACE_S
            # A lock taken an instant ago has no pid yet: retry for a while.
            while not _try_lock(descriptor, fcntl.LOCK_SH):
                pid, _ = _read(descriptor)
                if pid is not None and (_alive(pid) or time.monotonic() > deadline):
                    return pid
                if time.monotonic() > deadline:
                    return None
                time.sleep(LOCK_RETRY_S)
            return None
        finally:
            os.close(descriptor)

    def _open(self, flags: int) -> int:
        try:
            return os.open(self.path / LOCK, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unusable(f"{self.path / LOCK} cannot be opened", error) from error


def _unusable(problem: str, error: OSError) -> DataFolderUnusable:
    return DataFolderUnusable(
        f"{problem} ({error.strerror}).",
        remedy="Name a folder on a local disk that this account can write.",
    )


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _unusable("The data folder cannot be locked", error) from error
    return True


def _read(descriptor: int) -> tuple[int | None, str]:
    """Return the pid and the command that the lock's holder wrote."""
    text = os.pread(descriptor, COMMAND_MAX_CHARS * 4, 0).decode(errors="replace")
    pid, _, command = text.partition("\n")
    return (int(pid) if pid.isdecimal() else None), command.strip() or "unknown"


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
