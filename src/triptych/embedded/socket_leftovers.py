"""Socket folders that killed servers of other data folders have left in the temporary folder.

A server that is stopped removes its own, and one that is started again takes it over. Those of
data folders that nobody starts again would stay until the machine is restarted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from triptych.embedded.accounts import Account
from triptych.embedded.data_folder import LOCK
from triptych.embedded.sockets import (
    DATA_PATH,
    SOCKET,
    forget_socket_folder,
    is_served,
    outside_name,
    temporary_folders,
)

QUIET_S = 60.0
"""Seconds for which a folder must not have changed: its server is perhaps being started by a
process that sees other files, such as one in another container."""
PATH_MAX_BYTES = 4096


def remove_leftovers(account: Account) -> Sequence[Path]:
    """Remove the account's socket folders whose server is gone; return them.

    A folder is left alone if a process listens in it, if a process owns its data folder, or if that
    cannot be known. Meanwhile no server can be started on that data folder.
    """
    removed = []
    for parent in dict.fromkeys(temporary_folders()):
        for folder in parent.glob(f"triptych-{account.uid}-*"):
            # Files that another user put there stay, and so does their folder.
            with contextlib.suppress(OSError):
                if _is_left(folder, account):
                    removed.append(folder)
    return removed


def _is_left(folder: Path, account: Account) -> bool:
    """Remove the folder if its server is gone; return whether it is removed."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid:
        return False
    data = _data_path(folder)
    if data is None or outside_name(data, account) != folder.name:
        return False
    if time.time() - found.st_mtime < QUIET_S:
        return False
    with _unowned(data) as unowned:
        if not unowned or is_served(folder / SOCKET):
            return False
        forget_socket_folder(data, folder)
    return not folder.exists()


def _data_path(folder: Path) -> Path | None:
    """Return the data folder that a socket folder belongs to; None if it does not say."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(folder / DATA_PATH, flags)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        text = file.read(PATH_MAX_BYTES)
    return Path(os.fsdecode(text)) if text.startswith(b"/") and b"\0" not in text else None


@contextmanager
def _unowned(data: Path) -> Iterator[bool]:
    """Yield whether no process owns the data folder; none can own it while the block runs."""
    try:
        descriptor = os.open(data / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
