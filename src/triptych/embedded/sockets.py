"""Where the server's unix socket is, so that only its clients can reach it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import stat
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from triptych.embedded.accounts import Account
from triptych.embedded.cluster import ROLE
from triptych.embedded.errors import PostgresServerError

PORT = 5432
"""Only part of the socket's name; no port is opened."""
SOCKET = f".s.PGSQL.{PORT}"
PATH_MAX_BYTES = 107 if sys.platform == "linux" else 103
"""``sun_path`` without its closing zero."""
LOCK_FILE = f"{SOCKET}.lock"
RUN = "run"
DATA_PATH = "data-folder"
"""Names the data folder, in a socket folder outside of it."""
CONNECT_S = 1.0
DSN = "postgres.dsn"
"""Where clients in other processes read the server's address, in the data folder."""

_PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")
"""Names that need no quoting: neither in Postgres' list of folders nor in a URL."""


def socket_folder(data: Path, account: Account) -> Path:
    """Create the folder of the server's socket, or check the one that is there.

    It is ``<data>/run``; or, when that is too long for a socket, has characters that would need
    quoting, or cannot be reached by the server's account, a folder in the system's temporary one
    whose name is made of the data folder's. Only the server's account and root can enter it.

    Raises:
        PostgresServerError: it exists and belongs to another user, is open to others, or is not a
        folder.
    """
    inside = data / RUN
    if account.is_self and _fits(inside):
        return private_folder(inside, account)
    for parent in temporary_folders():
        folder = parent / outside_name(data, account)
        if _fits(folder) and (account.is_self or _open_to_all(parent)):
            private_folder(folder, account)
            _write_data_path(data, folder)
            return folder
    raise PostgresServerError(
        "No folder is short enough for a unix socket and open to the server's account.",
        remedy="Set TMPDIR to one.",
    )


def temporary_folders() -> tuple[Path, ...]:
    """Return where socket folders may be that do not fit into their data folder."""
    return Path(tempfile.gettempdir()).resolve(), Path("/tmp")  # noqa: S108


def outside_name(data: Path, account: Account) -> str:
    """Return the name of the socket folder of a data folder, outside of that."""
    return f"triptych-{account.uid}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"


def _write_data_path(data: Path, folder: Path) -> None:
    """Note in a socket folder whose it is, so that one that is left over can be removed."""
    # The server's account owns the folder: what it may have put there is not followed.
    path = folder / DATA_PATH
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(os.fsencode(data))


def _fits(folder: Path) -> bool:
    path = os.fsencode(folder / SOCKET)
    return len(path) <= PATH_MAX_BYTES and _PLAIN.fullmatch(str(folder)) is not None


def _open_to_all(folder: Path) -> bool:
    return all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents))


def private_folder(folder: Path, account: Account) -> Path:
    """Create or check a folder in a place where other users may have created something first.

    Raises:
        PostgresServerError: it is open to others, another user's, or not a folder.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(folder, flags)
    except OSError as error:
        raise _refused(folder, "is not a folder that Triptych created") from error
    try:
        found = os.fstat(descriptor)
        if found.st_uid not in {account.uid, os.geteuid()}:
            raise _refused(folder, f"belongs to user id {found.st_uid}")
        if stat.S_IMODE(found.st_mode) != 0o700:
            raise _refused(folder, f"has mode {stat.S_IMODE(found.st_mode):04o}, not 0700")
        if found.st_uid != account.uid:
            os.fchown(descriptor, account.uid, account.gid)
    finally:
        os.close(descriptor)
    return folder


def _refused(folder: Path, problem: str) -> PostgresServerError:
    return PostgresServerError(
        f"{folder}, the folder for Postgres' socket, {problem}.", remedy="Remove it."
    )


def clear_socket_folder(folder: Path) -> None:
    """Remove the files of a dead server from its socket folder. Safe to repeat."""
    for name in (SOCKET, LOCK_FILE):
        (folder / name).unlink(missing_ok=True)


def socket_identity(folder: Path) -> tuple[int, int] | None:
    """Return what tells a server's socket from another of its name; None if it is damaged.

    It is when the socket or its lock file is gone: then no client finds the server any more, which
    itself notices nothing and goes on.
    """
    try:
        (folder / LOCK_FILE).lstat()
        found = (folder / SOCKET).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None


def is_served(path: Path) -> bool:
    """Return whether a process listens on the Unix socket; True as well if that cannot be known."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trying:
        trying.settimeout(CONNECT_S)
        try:
            trying.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
        return True


def forget_socket_folder(data: Path, folder: Path) -> None:
    """Remove a stopped server's socket folder from the temporary one; keep ``<data>/run``."""
    if folder.parent == data:
        return
    # Files that another user put there stay, and the next start refuses the folder.
    with contextlib.suppress(OSError):
        clear_socket_folder(folder)
        (folder / DATA_PATH).unlink(missing_ok=True)
        folder.rmdir()


def make_dsn(folder: Path, database: str = ROLE) -> str:
    """Return the address of a database at the socket in ``folder``."""
    return f"postgresql://{ROLE}@/{database}?host={quote(str(folder))}&port={PORT}"


def write_dsn(data: Path, dsn: str) -> None:
    """Write the server's address for other processes."""
    descriptor, path = tempfile.mkstemp(prefix=f"{DSN}.", dir=data)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{dsn}\n")
    Path(path).replace(data / DSN)


def dsn_is(data: Path, dsn: str) -> bool:
    """Return whether other processes read this address."""
    try:
        return (data / DSN).read_text().strip() == dsn
    except FileNotFoundError:
        return False


def read_dsn(data: Path) -> str:
    """Return the address of the server that another process runs on this data folder.

    It stays the same while that server is restarted. The server may not be running.

    Raises:
        PostgresServerError: none was ever started there.
    """
    try:
        return (data / DSN).read_text().strip()
    except OSError as error:
        raise PostgresServerError(
            f"No database was ever started in {data}.",
            remedy="Start one with `triptych up`, or name its folder with --data.",
        ) from error
