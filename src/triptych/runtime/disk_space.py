"""The space on a disk: whether an error says that it is used up, and how much is free."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of a disk without room, and of an account that has used up its share of one."""
OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""How Rust quotes the number of an operating system's error."""
CAUSES_MAX = 10
"""Errors of a chain that are looked at."""
MIB = 1024 * 1024


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, or one that caused it, is that of a full disk."""
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


def free_space(folder: Path) -> str:
    """Say how much is free on a folder's disk, for accounts without privileges. Never raises."""
    try:
        found = os.statvfs(folder)
    except OSError as error:
        return f"what is free is unknown ({error.strerror})"
    free, size = (blocks * found.f_frsize / MIB for blocks in (found.f_bavail, found.f_blocks))
    # Some file systems make room for files as needed, and count none.
    files = f" and {found.f_favail:,} files" if found.f_files else ""
    return f"{free:,.1f} MiB of {size:,.1f}{files} are free"
