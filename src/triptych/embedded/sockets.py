"""Where the server's unix socket is, so that only its clients can reach it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
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
RUN = "run"
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
        return _private(inside, account)
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    for parent in (Path(tempfile.gettempdir()).resolve(), Path("/tmp")):  # noqa: S108
        folder = parent / f"triptych-{account.uid}-{name}"
        if _fits(folder) and (account.is_self or _open_to_all(parent)):
            return _private(folder, account)
    raise PostgresServerError(
        "No folder is short enough for a unix socket and open to the server's account.",
        remedy="Set TMPDIR to one.",
    )


def _fits(folder: Path) -> bool:
    path = os.fsencode(folder / SOCKET)
    return len(path) <= PATH_MAX_BYTES and _PLAIN.fullmatch(str(folder)) is not None


def _open_to_all(folder: Path) -> bool:
    return all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents))


def _private(folder: Path, account: Account) -> Path:
    """Create or check a folder in a place where other users may have created something first."""
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
    for name in (SOCKET, f"{SOCKET}.lock"):
        (folder / name).unlink(missing_ok=True)


def forget_socket_folder(data: Path, folder: Path) -> None:
    """Remove a stopped server's socket folder from the temporary one; keep ``<data>/run``."""
    if folder.parent == data:
        return
    # Files that another user put there stay, and the next start refuses the folder.
    with contextlib.suppress(OSError):
        clear_socket_folder(folder)
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
