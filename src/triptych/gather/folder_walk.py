"""Walking a folder of pictures: in one order, within bounds, and never out of it.

Each folder is opened below the one that it is in, and no link is followed to get into one. So what
is exchanged for a link meanwhile leads nowhere. What is left out is returned with the reason.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from triptych.gather.file_names import HIDDEN, is_hidden, left_out

DEPTH_MAX = 32
"""Folders in one another; each of them is an open file while it is walked."""
ENTRIES_MAX = 200_000
"""Of one folder: their names are sorted in memory."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = getattr(os, "O_PATH", 0)
_DESCRIPTORS = Path("/proc/self/fd")

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A file of the folder, or what of it is left out."""

    parts: Parts
    """The names of the folders that lead to it, and its own."""
    size: int = 0
    """Bytes."""
    modified_s: float = 0.0
    """POSIX time of its last change."""
    refused: str = ""
    """Why it is left out, as a sentence; empty: it is a file to acquire."""


class FolderWalk:
    """One passage through a folder, to be read part by part. For one thread at a time.

    Args:
        root: a descriptor of the folder, which it closes in the end.
        after: the parts of what was returned last; empty for the beginning.
    """

    def __init__(self, root: int, after: Parts = ()) -> None:
        self._root = root
        self._found = _walked(root, after)
        self._turn = threading.Lock()
        self._closed = False

    def take(self, count: int) -> Sequence[Found]:
        """Return what comes next, at most so many; fewer only at the end. Blocks.

        Raises:
            OSError: the folder itself cannot be read.
        """
        with self._turn:
            return [] if self._closed else list(islice(self._found, count))

    def close(self) -> None:
        """Close what is open; waits for a `take` that is under way. Safe to repeat."""
        with self._turn:
            if not self._closed:
                self._closed = True
                self._found.close()
                os.close(self._root)


def _walked(root: int, after: Parts) -> Generator[Found]:
    # A link may be read if what it leads to is in the folder, too.
    real = Path(os.path.realpath(_DESCRIPTORS / str(root)))
    yield from _Walk(real).folder(root, (), after)


class _Walk:
    def __init__(self, real: Path) -> None:
        self._real = real

    def folder(self, folder: int, above: Parts, after: Parts) -> Iterator[Found]:
        names = _names(folder)
        if len(names) > ENTRIES_MAX:
            why = f"The folder has more than {ENTRIES_MAX} entries: it is not read."
            yield Found(above, refused=why)
            return
        first, *rest = after or ("",)
        for name in sorted(names):
            if name < first:
                continue
            if name == first and not rest:
                # It was returned. If it is a folder, it was left out, or was one in the meantime.
                continue
            inner = tuple(rest) if name == first else ()
            yield from self._entry(folder, name, (*above, name), inner)

    def _entry(self, folder: int, name: str, parts: Parts, after: Parts) -> Iterator[Found]:
        if is_hidden(name):
            yield Found(parts, refused=HIDDEN)
            return
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                yield self._linked(folder, name, parts)
            elif stat.S_ISDIR(found.st_mode):
                yield from self._inner(folder, name, parts, after)
            elif stat.S_ISREG(found.st_mode):
                yield _file(parts, found)
            else:
                yield Found(parts, refused="It is neither a file nor a folder.")
        except FileNotFoundError:
            yield Found(parts, refused="It was removed while the folder was read.")
        except OSError as error:
            yield Found(parts, refused=f"It cannot be read ({error.strerror}).")

    def _inner(self, folder: int, name: str, parts: Parts, after: Parts) -> Iterator[Found]:
        if len(parts) >= DEPTH_MAX:
            yield Found(parts, refused=f"It is a folder in more than {DEPTH_MAX} others.")
            return
        with _owned(os.open(name, _FOLDER, dir_fd=folder)) as inner:
            yield from self.folder(inner, parts, after)

    def _linked(self, folder: int, name: str, parts: Parts) -> Found:
        if not _LOOK:
            return Found(parts, refused="It is a link, and this system does not tell where to.")
        with _owned(os.open(name, _LOOK | os.O_CLOEXEC, dir_fd=folder)) as looked:
            target = (_DESCRIPTORS / str(looked)).readlink()
            if not target.is_relative_to(self._real):
                return Found(parts, refused="It is a link that leads out of the folder.")
            found = os.fstat(looked)
        if stat.S_ISREG(found.st_mode):
            return _file(parts, found)
        return Found(parts, refused="It is a link to a folder: it is not followed.")


def _file(parts: Parts, found: os.stat_result) -> Found:
    refused = left_out(parts[-1], found.st_size)
    return Found(parts, found.st_size, found.st_mtime, refused)


def _names(folder: int) -> Sequence[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in islice(entries, ENTRIES_MAX + 1)]


@contextmanager
def _owned(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
