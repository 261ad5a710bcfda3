"""The folders of lists: opening files, if need be only below the folders that the deployer listed.

A path may lead elsewhere through a symbolic link, and may lead elsewhere a moment after it was
looked at. So a file is opened first, without reading it (``O_PATH``, ``open(2)``); then the kernel
tells where the open file is (``/proc/self/fd``, ``proc(5)``); and it is read through that
descriptor.
A second hard link is a file of the folder that it is in: whoever can make one can read the file.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import resource
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from triptych.errors import SourceRefused, SourceUnavailable

SETTING = "TRIPTYCH_SOURCE_FOLDERS"
PARTS_MAX = 10_000
"""Files of one folder or pattern."""
REMEDY = "Check the path after manifest:."

_PATTERN = re.compile(r"[*?\[]")
_DESCRIPTORS = Path("/proc/self/fd")
_LOOK = getattr(os, "O_PATH", 0) | os.O_CLOEXEC

Part = tuple[str, Path]
"""A file's name, and the path at which this process can open it."""


class SourceFolders:
    """The folders below which files may be read; ``listed`` is None for every file."""

    def __init__(self, listed: Sequence[Path] | None) -> None:
        self._listed = listed

    @classmethod
    def below(cls, folder: str) -> SourceFolders:
        """Return what lets files of one folder be read."""
        return cls([Path(folder)])

    def lists(self, path: str) -> bool:
        """Return whether a path, as it is written, is below a listed folder. Touches no file."""
        if self._listed is None:
            return True
        written = PurePosixPath(path)
        return (
            written.is_absolute()
            and ".." not in written.parts
            and any(written.is_relative_to(PurePosixPath(folder)) for folder in self._listed)
        )

    @contextmanager
    def opened(self, path: str) -> Iterator[Sequence[Part]]:
        """Yield the file at a path, the files of the folder there, or those that match the pattern.

        Their paths are valid in this process until the block ends. Blocks.

        Raises:
            SourceRefused: there is none, there are more than `PARTS_MAX`, or one is not below a
                listed folder, however it is reached.
            SourceUnavailable: this process has too many open files.
        """
        if self._listed is None:
            yield _existing(path)
            return
        with ExitStack() as stack:
            yield self._open(path, stack)

    def open_one(self, path: str) -> int:
        """Return a descriptor of the regular file or the folder at a path, opened for reading.

        The caller closes it. No other kind of file is opened, and nothing that is put into its
        place meanwhile. Blocks.

        Raises:
            OSError: there is none, this process may not read it, or its file system fails.
            SourceRefused: it is not below a listed folder, however it is reached, or it is neither.
            SourceUnavailable: this process has too many open files.
        """
        if self._listed is None:
            # It waits for nobody: a FIFO without a writer would.
            found = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            if stat.S_IFMT(os.fstat(found).st_mode) in {stat.S_IFREG, stat.S_IFDIR}:
                return found
            os.close(found)
            raise _neither(path)
        if not self.lists(path):
            raise not_listed(path)
        with ExitStack() as stack:
            try:
                looked = self._look(path, None, stack)
            except SourceRefused as error:
                # What has no cause is a refusal by the list of folders.
                raise (error.__cause__ or error) from None
            if stat.S_IFMT(os.fstat(looked).st_mode) not in {stat.S_IFREG, stat.S_IFDIR}:
                raise _neither(path)
            return os.open(_DESCRIPTORS / str(looked), os.O_RDONLY | os.O_CLOEXEC)

    def _open(self, path: str, stack: ExitStack) -> Sequence[Part]:
        if not self.lists(path):
            raise not_listed(path)
        written = Path(path)
        try:
            found = self._look(path, None, stack)
        except FileNotFoundError as error:
            if not _PATTERN.search(written.name):
                raise _no_file(written) from error
            try:
                found = self._look(str(written.parent), None, stack)
            except FileNotFoundError:
                raise _no_file(written) from error
            return self._parts(written, found, written.name, stack)
        kind = os.fstat(found).st_mode
        if stat.S_ISREG(kind):
            return [(written.name, _DESCRIPTORS / str(found))]
        if not stat.S_ISDIR(kind):
            raise _neither(path)
        return self._parts(written, found, "*", stack)

    def _parts(self, path: Path, folder: int, pattern: str, stack: ExitStack) -> Sequence[Part]:
        names = [
            each.name
            for each in (_DESCRIPTORS / str(folder)).iterdir()
            if is_part_name(each.name) and fnmatch.fnmatchcase(each.name, pattern)
        ]
        _check_count(path, len(names))
        _allow_descriptors(len(names))
        parts: list[Part] = []
        for name in sorted(names):
            found = self._look(name, folder, stack)
            if stat.S_ISREG(os.fstat(found).st_mode):
                parts.append((name, _DESCRIPTORS / str(found)))
        _check_count(path, len(parts))
        return parts

    def _look(self, path: str, folder: int | None, stack: ExitStack) -> int:
        """Return a descriptor of what is at a path, once it is known to be in a listed folder."""
        if not _LOOK & ~os.O_CLOEXEC:
            raise SourceRefused(
                "This system does not tell where an open file is, so no folder can be listed.",
                remedy=f"Name a URL; {SETTING} needs Linux.",
            )
        try:
            found = os.open(path, _LOOK, dir_fd=folder)
            stack.callback(os.close, found)
            real = (_DESCRIPTORS / str(found)).readlink()
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                raise SourceUnavailable(
                    f"{path} cannot be opened: this process has too many files open.",
                    remedy="Name fewer files at a time, or raise its limit (ulimit -n).",
                ) from error
            raise SourceRefused(f"{path} cannot be opened ({error.strerror}).") from error
        assert self._listed is not None
        if not any(real.is_relative_to(os.path.realpath(each)) for each in self._listed):
            raise not_listed(path)
        return found


ANY_FOLDER = SourceFolders(None)
"""For sources of this machine's own user: what the process may read, he may read."""


def not_listed(path: str) -> SourceRefused:
    """Return the error of a file that is not below a listed folder."""
    return SourceRefused(f"{path} is not in a listed folder.", remedy=f"List it in {SETTING}.")


def _neither(path: str) -> SourceRefused:
    return SourceRefused(f"{path} is neither a file nor a folder.")


def is_part_name(name: str) -> bool:
    """Return whether a file of a folder is a part of a list; Spark marks success with others."""
    return not name.startswith((".", "_"))


def _existing(name: str) -> Sequence[Part]:
    path = Path(name).expanduser()
    if path.is_dir():
        found = [each for each in path.iterdir() if _is_part(each)]
    elif path.is_file():
        return [(path.name, path)]
    elif _PATTERN.search(path.name):
        found = [each for each in path.parent.glob(path.name) if _is_part(each)]
    else:
        raise _no_file(path)
    _check_count(path, len(found))
    return [(each.name, each) for each in sorted(found)]


def _is_part(path: Path) -> bool:
    return path.is_file() and is_part_name(path.name)


def _no_file(path: Path) -> SourceRefused:
    return SourceRefused(f"There is no file {path}.", remedy=REMEDY)


def _allow_descriptors(count: int) -> None:
    """Raise this process's limit of file descriptors for so many more, as far as it may."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limit + count if most < 0 else min(limit + count, most)
    if 0 <= limit < wanted and limit < 2 * PARTS_MAX:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _check_count(path: Path, count: int) -> None:
    if not 0 < count <= PARTS_MAX:
        raise SourceRefused(
            f"{path} stands for {count} files; 1 to {PARTS_MAX} are read.", remedy=REMEDY
        )
