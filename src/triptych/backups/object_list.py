"""The list of the objects of a backup: a compressed file, a line each, in the order of their keys.

Lines have the object's key, percent-encoded, its size in bytes and its SHA-256, separated by tabs.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote

from triptych.backups.backup_errors import BackupUnusable
from triptych.backups.manifest import StoredFile

OBJECT_LIST = "objects.tsv.gz"
COMPRESSION = 1
"""gzip's level: hashes hardly compress."""


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object that a row names."""

    key: str
    size_bytes: int
    sha256: str
    """Of its bytes, in hexadecimal digits; empty for a file of an export of an earlier release."""


class ObjectListWriter:
    """Writes the list into a backup's folder. Its methods block."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / OBJECT_LIST
        self.count = 0
        self.size_bytes = 0
        """Of all objects of the list."""

    def __enter__(self) -> Self:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        # Without a time in its header, the same list is the same file.
        self._packed = gzip.GzipFile("", "wb", COMPRESSION, self._file, mtime=0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._packed.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def add(self, listed: ListedObject) -> None:
        """Add an object; keys have to come in ascending order.

        Raises:
            OSError: it cannot be written.
        """
        self._packed.write(f"{quote(listed.key)}\t{listed.size_bytes}\t{listed.sha256}\n".encode())
        self.count += 1
        self.size_bytes += listed.size_bytes

    def stored(self) -> StoredFile:
        """Return what the manifest says of the list, once it is closed."""
        written = self._path.read_bytes()
        return StoredFile(OBJECT_LIST, len(written), hashlib.sha256(written).hexdigest())


KEY = re.compile(
    r"sha256/([0-9a-f]{2})/\1[0-9a-f]{62}|exports/[0-9a-f-]{36}(/(?!\.\.?(/|$))[^/\0]+)+"
    r"|uploads/[0-9a-f-]{36}"
)
"""The keys of objects in a backup. A list that was edited leads to no other file."""
SHA256 = re.compile(r"([0-9a-f]{64})?")


def _read(line: str) -> ListedObject:
    quoted, size, sha256 = line.rstrip("\n").split("\t")
    key = unquote(quoted)
    hashed = SHA256.fullmatch(sha256) and (sha256 or key.startswith("exports/"))
    if not KEY.fullmatch(key) or not hashed or int(size) < 0:
        raise ValueError(f"a line is not that of an object: {key!r}")
    return ListedObject(key, int(size), sha256)


def listed_objects(path: Path) -> Iterator[ListedObject]:
    """Yield the objects of a list. Blocks.

    Raises:
        BackupUnusable: it is not such a list, or cannot be read.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield _read(line)
    except (OSError, EOFError, ValueError) as error:
        raise BackupUnusable(f"{path} is not a list of objects ({error}).") from error
