"""A part of a list, as a parser reads it: by a descriptor that it was given."""

from __future__ import annotations

import io
import os
from collections.abc import Callable

from typing_extensions import Buffer, override


class PartFile(io.RawIOBase):
    """A file with a place of its own: several readers of one descriptor do not disturb each other.

    Args:
        descriptor: is closed together with this file.
        read_on: is called whenever something was read.
    """

    def __init__(self, descriptor: int, read_on: Callable[[], None]) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._read_on = read_on
        self._place = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place}.get(whence)
        place = (os.fstat(self._descriptor).st_size if start is None else start) + offset
        if place < 0:
            raise ValueError(f"{place} is before the beginning")
        self._place = place
        return place

    @override
    def tell(self) -> int:
        return self._place

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        chunk = os.pread(self._descriptor, len(view), self._place)
        view[: len(chunk)] = chunk
        self._place += len(chunk)
        self._read_on()
        return len(chunk)

    @override
    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()
