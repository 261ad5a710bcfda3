"""What a list may be packed in: gzip, or a zip with one file in it."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from triptych.errors import SourceRefused
from triptych.gather.lists.bounded_file import BoundedFile, Readable
from triptych.gather.lists.record import BYTES_MAX

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
    """Opens them from the beginning; reading more than `BYTES_MAX` raises `SourceRefused`."""
    name: str
    """The list's name, without the ending of what it was packed in."""
    packed_in: str | None


def unpack(path: Path, name: str) -> Unpacked:
    """Look through gzip and zip; a workbook is a zip that stays as it is.

    Raises:
        SourceRefused: it is packed in something else, or a zip has not exactly one file.
        OSError, EOFError, zipfile.BadZipFile: it cannot be read.
    """
    with path.open("rb") as file:
        magic = file.read(MAGIC_BYTES)
    if magic.startswith(GZIP):
        inner = name.removesuffix(".gz")
        return Unpacked(lambda: _bounded(gzip.open(path, "rb")), inner, "gzip")
    if magic.startswith(ZIP):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if not any(name.startswith(WORKBOOK_FOLDER) for name in names):
            return _only_file(path, names)
    for start, kind in OTHERS.items():
        if magic.startswith(start):
            raise SourceRefused(
                f"It is compressed with {kind}.", remedy="Decompress it, or use gzip or zip."
            )
    return Unpacked(lambda: _bounded(path.open("rb")), name, None)


def _only_file(path: Path, names: list[str]) -> Unpacked:
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

    def opened() -> IO[bytes]:
        archive = zipfile.ZipFile(path)
        try:
            return _bounded(_Member(archive, files[0]))
        except BaseException:
            archive.close()
            raise

    return Unpacked(opened, files[0], "zip")


class _Member:
    """A file of a zip, which is closed together with the zip."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._archive = archive
        self._file = archive.open(name)
        self.read = self._file.read

    def close(self) -> None:
        self._file.close()
        self._archive.close()


def _bounded(file: Readable) -> IO[bytes]:
    bounded = BoundedFile(
        file,
        max_bytes=BYTES_MAX,
        problem=f"It has more than {BYTES_MAX} bytes.",
        remedy="Split it into several lists.",
    )
    return io.BufferedReader(bounded, buffer_size=BUFFER_BYTES)
