"""Where backups are kept: a folder with one folder for each backup, and the objects of all.

::

    DESTINATION/
    ├── lock                    held by the process that writes
    ├── unfinished              while it writes, and after one that was interrupted
    ├── objects/sha256/…        content-addressed: an object of ten backups is there once
    └── backups/
        ├── 20261129T191500Z/   manifest.json, database.dump, objects.tsv.gz, sealing.key
        └── partial-…/          being written, or left by a process that was killed
"""

from __future__ import annotations

import errno
import fcntl
import heapq
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from triptych.backups.backup_errors import BackupFailed, BackupUnusable, DestinationInUse
from triptych.backups.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from triptych.backups.object_list import OBJECT_LIST, ListedObject, listed_objects
from triptych.runtime.file_flush import flush_folder

BACKUPS = "backups"
OBJECTS = "objects"
LOCK = "lock"
PARTIAL = "partial-"
REMOVING = "removing-"
"""The prefix of a backup that is no longer one: it was renamed before its files are removed."""
UNFINISHED = "unfinished"
"""A file that is there from the beginning of a backup until it is complete."""
OWN = frozenset({BACKUPS, OBJECTS, LOCK, UNFINISHED, "lost+found"})
"""What a destination consists of; and what the root of a disk has."""
FOLDERS = 256
"""Folders of objects: see `triptych.objects.object_key`."""
ID_FORMAT = "%Y%m%dT%H%M%SZ"


class Destination:
    """A folder that backups are written to, by one process at a time. Its methods block."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.interrupted = False
        """Whether the backup before was: its objects may be there and not be durable."""

    @property
    def objects(self) -> Path:
        """Where the objects of all backups are."""
        return self.path / OBJECTS

    @contextmanager
    def open(self) -> Iterator[None]:
        """Create the folder unless it is there, and keep other backups from writing to it.

        Remains of backups that were interrupted are removed.

        Raises:
            DestinationInUse: another process writes to it.
            BackupFailed: it cannot be created or written, or holds something else.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stray := sorted({each.name for each in self.path.iterdir()} - OWN):
                raise BackupFailed(
                    f"{self.path} holds something else ({stray[0]}).",
                    remedy="Name an empty folder, or one that has backups already.",
                )
            descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        try:
            self._prepare(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _prepare(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for folder in (self.path / BACKUPS, self.objects):
                folder.mkdir(mode=0o700, exist_ok=True)
            self._remove_remains()
            self.interrupted = (self.path / UNFINISHED).exists()
        except BlockingIOError as error:
            raise DestinationInUse(
                f"Another backup is being written to {self.path}.", remedy="Wait for its end."
            ) from error
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _remove_remains(self) -> None:
        for prefix in (PARTIAL, REMOVING):
            for left in (self.path / BACKUPS).glob(f"{prefix}*"):
                shutil.rmtree(left)

    def begin(self, name: str) -> Path:
        """Return a new folder for the files of a backup that is not complete yet.

        Raises:
            OSError: it cannot be created.
        """
        (self.path / UNFINISHED).touch(mode=0o600)
        flush_folder(self.path)
        folder = self.path / BACKUPS / f"{PARTIAL}{name}"
        folder.mkdir(mode=0o700)
        return folder

    def free_id(self, at: datetime) -> str:
        """Return an id for a backup that begins then: no other has it, and later ones sort after.

        Raises:
            BackupFailed: too many backups began in that second.
        """
        name = at.astimezone(UTC).strftime(ID_FORMAT)
        taken = {folder.name for folder in self.folders()}
        for each in chain([name], (f"{name}-{n}" for n in range(1, 10))):
            if each not in taken:
                return each
        raise BackupFailed("Too many backups began in this second.", remedy="Try again.")

    def publish(self, folder: Path, manifest: Manifest) -> Path:
        """Make a backup complete, durably; return its folder.

        Its manifest is written last, and then it gets its name: a backup that was interrupted has
        neither.

        Raises:
            OSError: it cannot be written.
        """
        write_manifest(folder, manifest)
        flush_folder(folder)
        final = self.path / BACKUPS / manifest.id
        folder.rename(final)
        flush_folder(self.path / BACKUPS)
        (self.path / UNFINISHED).unlink(missing_ok=True)
        flush_folder(self.path)
        return final

    def folders(self) -> Sequence[Path]:
        """Return the folders of the complete backups, oldest first."""
        try:
            found = [
                each
                for each in (self.path / BACKUPS).iterdir()
                if not each.name.startswith((PARTIAL, REMOVING)) and (each / MANIFEST).is_file()
            ]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(found)

    def drop_older(self, keep: int) -> tuple[int, int]:
        """Keep the newest backups only, and the objects that they name.

        Safe to interrupt and to repeat.

        Returns:
            How many backups and how many objects were removed.

        Raises:
            OSError: something cannot be removed.
            BackupUnusable: the list of a backup that is kept cannot be read; no object was removed.
        """
        older = self.folders()[:-keep]
        for folder in older:
            gone = folder.with_name(f"{REMOVING}{folder.name}")
            folder.rename(gone)
            flush_folder(gone.parent)
            shutil.rmtree(gone)
        return len(older), self._remove_unnamed()

    def _remove_unnamed(self) -> int:
        removed = 0
        named = _Ascending([folder / OBJECT_LIST for folder in self.folders()])
        for prefix in _prefixes():
            there = {
                path.relative_to(self.objects).as_posix(): path
                for path in (self.objects / prefix).rglob("*")
                if path.is_file()
            }
            for key in named.below(f"{prefix}/"):
                there.pop(key, None)
            for path in there.values():
                path.unlink()
            removed += len(there)
        return removed


class _Ascending:
    """The keys of several lists in ascending order, as their lines are."""

    def __init__(self, lists: Sequence[Path]) -> None:
        self._keys = heapq.merge(*(map(_key, listed_objects(path)) for path in lists))
        self._next = next(self._keys, None)

    def below(self, prefix: str) -> Iterator[str]:
        """Yield the next keys up to the last one with a prefix; prefixes have to ascend, too."""
        while self._next is not None and (self._next.startswith(prefix) or self._next < prefix):
            yield self._next
            self._next = next(self._keys, None)


def _key(listed: ListedObject) -> str:
    return listed.key


def _prefixes() -> Iterator[str]:
    yield "exports"
    for number in range(FOLDERS):
        yield f"sha256/{number:02x}"


def find_backup(path: Path) -> tuple[Path, Path, Manifest]:
    """Return the folder of a backup, the folder of its objects, and its manifest. Blocks.

    Args:
        path: a backup's folder, or a destination: then it is the newest one.

    Raises:
        BackupUnusable: there is no complete backup.
    """
    path = path.absolute()
    if not path.is_dir():
        raise BackupUnusable(
            f"There is no folder {path}.",
            remedy="Name a backup's folder; or a brand and one of its snapshots, which `triptych "
            "snapshots BRAND` lists.",
        )
    if (path / BACKUPS).is_dir():
        complete = Destination(path).folders()
        if not complete:
            raise BackupUnusable(f"{path} has no complete backup.")
        path = complete[-1]
    manifest = read_manifest(path)
    objects = path.parent.parent / OBJECTS
    if manifest.objects.count and not objects.is_dir():
        raise BackupUnusable(
            f"The objects of {path} are not at {objects}.",
            remedy="Copy the whole destination, not one backup's folder.",
        )
    return path, objects, manifest


def _unwritable(path: Path, error: OSError) -> BackupFailed:
    why = error.strerror or errno.errorcode.get(error.errno or 0, "unknown")
    return BackupFailed(
        f"{path} cannot be used ({why}).", remedy="Name a folder that this account can write."
    )
