"""Creating small files, in the calling thread for as long as the file system is quick."""

from __future__ import annotations

import os
import time
import weakref
from pathlib import Path

SMALL_BYTES = 256 * 1024
"""Larger bodies are not written in the caller's thread."""
SLOW_S = 0.001
"""Mean time of a file from which on the disk counts as slow. A single file may take much longer: it
waits for a flush of the others."""
WEIGHT = 1 / 64
"""Of the newest file in the mean."""
APART_S = 10.0
"""Seconds for which a disk counts as slow, until it is tried again."""

_UNNAMED = getattr(os, "O_TMPFILE", 0)


class FileCreation:
    """Creates files below one folder.

    A file is written without a name (`O_TMPFILE`, ``open(2)``) and gets its name when it is whole:
    whoever looks sees all of it or none, and a process that is killed leaves nothing behind.
    """

    def __init__(self, root: Path) -> None:
        """Use an existing folder.

        Raises:
            OSError: it cannot be opened.
        """
        self._root = str(root)
        self._folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        weakref.finalize(self, os.close, self._folder)
        self._mean_s = 0.0
        self._slow_until = 0.0

    def create_at_once(self, name: str, body: bytes) -> bool:
        """Create a small file, as `create` does, unless the disk has been slow lately.

        For an event loop: to wake a thread takes longer than to write 70 kB to the operating
        system's memory, and a slow disk holds the loop up for a few files only.
        """
        begun = time.monotonic()
        if len(body) > SMALL_BYTES or begun < self._slow_until:
            return False
        created = self.create(name, body)
        ended = time.monotonic()
        self._mean_s += (ended - begun - self._mean_s) * WEIGHT
        if self._mean_s > SLOW_S:
            self._mean_s, self._slow_until = 0.0, ended + APART_S
        return created

    def create(self, name: str, body: bytes) -> bool:
        """Create a file, unless it exists; return whether it was created.

        False does not say why: the name is taken, its folder does not exist, the disk is full or
        gone, or the file system has no files without a name.

        Args:
            name: the file's path below the folder.
            body: its bytes.
        """
        if not _UNNAMED:
            return False
        path = f"{self._root}/{name}"
        try:
            descriptor = os.open(path.rpartition("/")[0], os.O_WRONLY | _UNNAMED, 0o666)
            try:
                if os.write(descriptor, body) != len(body):
                    return False
                # With a folder's descriptor Python calls `linkat`, which follows the link.
                source = f"/proc/self/fd/{descriptor}"
                os.link(source, path, src_dir_fd=self._folder, follow_symlinks=True)
            finally:
                os.close(descriptor)
        except OSError:
            return False
        return True
