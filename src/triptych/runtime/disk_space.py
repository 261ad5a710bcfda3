"""Disk space: recognising errors of a full disk, and measuring what is free."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The disk is full, or the account's quota is used up."""
OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""How Rust's error messages name an operating system's error number."""
CAUSES_MAX = 10
"""The most errors in a chain of causes that are examined."""
MIB = 1024 * 1024


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error or one of its causes is that of a full disk."""
    cause: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if cause is None:
            break
        if isinstance(cause, OSError) and cause.errno in FULL:
            return True
        if any(int(number) in FULL for number in OS_ERROR.findall(str(cause))):
            return True
        cause = cause.__cause__
    return False


def free_bytes(folder: Path) -> int:
    """Return how many bytes unprivileged accounts may still write to a folder's disk.

    Raises:
        OSError: it cannot be found out.
    """
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def free_space(folder: Path) -> str:
    """Return how much unprivileged accounts may still write to a folder's disk, as text.

    Never raises.
    """
    try:
        found = os.statvfs(folder)
    except OSError as error:
        return f"its free space is unknown ({error.strerror})"
    free, size = (blocks * found.f_frsize / MIB for blocks in (found.f_bavail, found.f_blocks))
    # Some file systems make room for files as needed, and count none.
    files = f" and {found.f_favail:,} files" if found.f_files else ""
    return f"{free:,.1f} MiB of {size:,.1f}{files} are free"
