"""What a list may be packed in: gzip, or a zip with one file in it."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from triptych.errors import SourceRefused
from triptych.gather.lists.bounded_file import BoundedFile, Readable
from triptych.gather.lists.bounds import BYTES_MAX, expanded_max_bytes
from triptych.gather.lists.record import OpenFile

MAGIC_BYTES = 8
BUFFER_BYTES = 1024 * 1024
GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"
WORKBOOK_FOLDER = "xl/"
OTHERS = {
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"7z\xbc\xaf": "7-Zip",
}
MEMBERS_SHOWN = 5
HIDDEN = ("__MACOSX/", ".")
"""Members of a zip that systems add themselves."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A list's bytes without what they were packed in."""

    open: Callable[[], IO[bytes]]
    """Opens them from the beginning; reading more than `BYTES_MAX`, or more than `RATIO_MAX` times
    what they were packed in, raises `SourceRefused`."""
    name: str
    """The list's name, without the ending of what it was packed in."""
    packed_in: str | None


def unpack(opened: OpenFile, name: str) -> Unpacked:
    """Look through gzip and zip; a workbook is a zip that stays as it is.

    Raises:
        SourceRefused: it is packed in something else, or a zip has not exactly one file.
        OSError, EOFError, zipfile.BadZipFile: it cannot be read.
    """
    with opened() as file:
        magic = file.read(MAGIC_BYTES)
        size = file.seek(0, os.SEEK_END)
    if magic.startswith(GZIP):
        inner = name.removesuffix(".gz")
        return Unpacked(lambda: _expanded(_Gzipped(opened()), size), inner, "gzip")
    if magic.startswith(ZIP):
        with opened() as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
        if not any(name.startswith(WORKBOOK_FOLDER) for name in names):
            return _only_file(opened, size, names)
    for start, kind in OTHERS.items():
        if magic.startswith(start):
            raise SourceRefused(
                f"It is compressed with {kind}.", remedy="Decompress it, or use gzip or zip."
            )
    return Unpacked(lambda: _bounded(opened()), name, None)


def _only_file(opened: OpenFile, size: int, names: list[str]) -> Unpacked:
    files = [
        name
        for name in names
        if not name.endswith("/")
        and not name.rpartition("/")[2].startswith(HIDDEN[1])
        and not name.startswith(HIDDEN[0])
    ]
    if len(files) != 1:
        shown = ", ".join(files[:MEMBERS_SHOWN])
        raise SourceRefused(
            f"It is a zip with {len(files)} files.",
            remedy="Give a zip with one list in it, or unpack it and give a folder.",
            quoted=f"They are: {shown}." if files else "",
        )
    return Unpacked(lambda: _expanded(_Member(opened(), files[0]), size), files[0], "zip")


class _Gzipped:
    """A gzipped file's content."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._content = gzip.GzipFile(fileobj=file, mode="rb")
        self.read = self._content.read

    def close(self) -> None:
        self._content.close()
        self._file.close()


class _Member:
    """A file of a zip, which is closed together with the zip."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        with ExitStack() as stack:
            archive = zipfile.ZipFile(stack.enter_context(file))
            try:
                self.read = stack.enter_context(archive.open(name)).read
            except RuntimeError as error:
                # It has a password, or is packed in a way that Python does not know.
                raise SourceRefused(
                    f"The zip cannot be unpacked ({error}).", remedy="Unpack it, and give that."
                ) from error
            self._opened = stack.pop_all()

    def close(self) -> None:
        self._opened.close()


def _expanded(file: Readable, packed: int) -> IO[bytes]:
    """Return unpacked bytes that end where they are too many for so many packed ones."""
    allowed = expanded_max_bytes(packed)
    if allowed >= BYTES_MAX:
        return _bounded(file)
    bounded = BoundedFile(
        file,
        max_bytes=allowed,
        problem=f"It has {packed} bytes and unpacks to more than {allowed}.",
        remedy="Unpack it, and give that.",
    )
    return io.BufferedReader(bounded, buffer_size=BUFFER_BYTES)


def _bounded(file: Readable) -> IO[bytes]:
    bounded = BoundedFile(
        file,
        max_bytes=BYTES_MAX,
        problem=f"It has more than {BYTES_MAX} bytes.",
        remedy="Split it into several lists.",
    )
    return io.BufferedReader(bounded, buffer_size=BUFFER_BYTES)
