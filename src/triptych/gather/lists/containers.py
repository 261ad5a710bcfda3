"""What a list may be packed in: gzip, or a zip with one file in it."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from typing_extensions import Buffer, override

from triptych.errors import SourceRefused
from triptych.gather.lists.record import BYTES_MAX

MAGIC_BYTES = 8
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
        shown = ", ".join(files[:MEMBERS_SHOWN]) or "none"
        raise SourceRefused(
            f"It is a zip with {len(files)} files ({shown}).",
            remedy="Give a zip with one list in it, or unpack it and give a folder.",
        )

    def opened() -> IO[bytes]:
        archive = zipfile.ZipFile(path)
        try:
            return _bounded(archive.open(files[0]), archive)
        except BaseException:
            archive.close()
            raise

    return Unpacked(opened, files[0], "zip")


class _Bounded(io.RawIOBase):
    """A file of which at most `BYTES_MAX` bytes are read, and what is closed together with it."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, also: zipfile.ZipFile | None) -> None:
        super().__init__()
        self._file = file
        self._also = also
        self._left = BYTES_MAX

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        chunk = self._file.read(len(view))
        self._left -= len(chunk)
        if self._left < 0:
            raise SourceRefused(
                f"It has more than {BYTES_MAX} bytes.", remedy="Split it into several lists."
            )
        view[: len(chunk)] = chunk
        return len(chunk)

    @override
    def close(self) -> None:
        if not self.closed:
            self._file.close()
            if self._also is not None:
                self._also.close()
        super().close()


def _bounded(file: IO[bytes] | gzip.GzipFile, also: zipfile.ZipFile | None = None) -> IO[bytes]:
    return io.BufferedReader(_Bounded(file, also), buffer_size=1024 * 1024)
