"""Flushing files to the disk, many at a time, so that they survive a power cut."""

from __future__ import annotations

import ctypes
import errno
import os
import time
import weakref
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

EXT4, XFS, BTRFS = 0xEF53, 0x58465342, 0x9123683E
WHOLE = frozenset({EXT4, XFS, BTRFS})
"""File systems, by the number that `statfs(2)` gives, whose `syncfs(2)` reaches the disk. That of a
network or FUSE file system need not."""
STATFS_LONGS = 32
"""More than `struct statfs` has; its first is the number of the file system."""
SLOW_S = 1.0
"""A flush of the whole file system that takes longer had to write much that is others'."""
APART_S = 60.0
"""Seconds after a slow one in which files are flushed one by one."""
OPEN_MAX = 64
"""Files open at a time while they are flushed one by one."""
START_WRITING = 2
"""`SYNC_FILE_RANGE_WRITE`."""
NO_FOLDER_FLUSH = frozenset({errno.EINVAL, errno.ENOTSUP})
"""Errors of file systems that cannot flush a folder and need not."""

_LIBC = ctypes.CDLL(None, use_errno=True)


class FileFlush:
    """Flushes files below one folder. Its methods block; any thread may call them.

    On ext4, XFS and Btrfs one call flushes the whole file system: for 100 files of 50 kB that takes
    a sixth of the CPU of a call for each file and folder. It also writes what other programs have
    written there, so after a slow one files are flushed one by one for a while. Elsewhere, they
    always are.
    """

    def __init__(self, root: Path) -> None:
        """Use an existing folder.

        Raises:
            OSError: it cannot be opened.
        """
        self.root = root
        # Kept open: errors of writes since the last flush are reported to it.
        self._descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        weakref.finalize(self, os.close, self._descriptor)
        self._device = os.fstat(self._descriptor).st_dev
        self._flushes_whole = _file_system(self._descriptor) in WHOLE
        self._apart_until = 0.0

    def flush(self, names: Collection[str]) -> frozenset[str]:
        """Make files, and the folders that lead to them, durable.

        Args:
            names: the files' paths below the folder.

        Returns:
            Those that are not durable: the file is missing, or the disk did not take its bytes. The
            latter is removed, since the operating system would report an error only once and then
            take the file for written.

        Raises:
            OSError: a folder could not be flushed, so no file counts as durable.
        """
        devices, lost, root = {}, set(), str(self.root)
        for name in names:
            try:
                devices[name] = os.stat(f"{root}/{name}").st_dev  # noqa: PTH116 - a third of the time
            except FileNotFoundError:
                lost.add(name)
        if devices and not (set(devices.values()) == {self._device} and self._flush_whole()):
            lost |= self._flush_each(devices)
        return frozenset(lost)

    def _flush_whole(self) -> bool:
        """Flush the file system; return False if that cannot be done now, or has failed."""
        if not self._flushes_whole or time.monotonic() < self._apart_until:
            return False
        begun = time.monotonic()
        flushed: int = _LIBC.syncfs(self._descriptor)
        ended = time.monotonic()
        if ended - begun > SLOW_S:
            self._apart_until = ended + APART_S
        # An error may be of another program's file: the files themselves say which.
        return flushed == 0

    def _flush_each(self, names: Iterable[str]) -> set[str]:
        lost, folders = set(), {self.root}
        remaining = iter(names)
        while some := list(islice(remaining, OPEN_MAX)):
            lost |= self._flush_some(some)
            for name in some:
                folders.update((self.root / name).parents[: name.count("/")])
        for folder in folders:
            flush_folder(folder)
        with suppress(PermissionError):  # Then this account did not create the folder there.
            flush_folder(self.root.parent)
        return lost

    def _flush_some(self, names: Sequence[str]) -> set[str]:
        lost, opened = set(), {}
        try:
            for name in names:
                with suppress(FileNotFoundError):
                    opened[name] = os.open(self.root / name, os.O_RDONLY)
            lost |= set(names) - opened.keys()
            # All begin to be written before the first is waited for: they share the journal.
            for descriptor in opened.values():
                _start_writing(descriptor)
            for name, descriptor in opened.items():
                try:
                    os.fsync(descriptor)
                except OSError:
                    lost.add(name)
                    (self.root / name).unlink(missing_ok=True)
        finally:
            for descriptor in opened.values():
                os.close(descriptor)
        return lost


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable: of files that were created, renamed or removed.

    Raises:
        OSError: it could not be flushed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_FOLDER_FLUSH:
            raise
    finally:
        os.close(descriptor)


def _file_system(descriptor: int) -> int | None:
    """Return the number of a file system; None where it cannot be flushed as a whole."""
    if not hasattr(_LIBC, "syncfs"):
        return None
    found = (ctypes.c_long * STATFS_LONGS)()
    return found[0] if _LIBC.fstatfs(descriptor, found) == 0 else None


def _start_writing(descriptor: int) -> None:
    """Let the operating system begin to write a file, where it can be asked to."""
    if hasattr(_LIBC, "sync_file_range"):
        # Its result is ignored: the flush that follows reports every error.
        zero = ctypes.c_int64(0)
        _LIBC.sync_file_range(descriptor, zero, zero, START_WRITING)
