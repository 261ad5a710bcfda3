"""A file of which a bounded part is read."""

from __future__ import annotations

import io
from typing import Protocol

from typing_extensions import Buffer, override

from triptych.errors import SourceRefused


class Readable(Protocol):
    """What can be read in parts and is closed."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; none at the end."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class BoundedFile(io.RawIOBase):
    """Reads a file, and refuses to read more than ``max_bytes`` of it.

    Args:
        file: the file; it is closed together with this one.
        max_bytes: the limit, since the beginning or since `restart`.
        problem: the message of the `SourceRefused` that reading raises.
        remedy: its remedy.
    """

    def __init__(
        self, file: Readable, *, max_bytes: int, problem: str, remedy: str | None = None
    ) -> None:
        super().__init__()
        self._file = file
        self._max_bytes = max_bytes
        self._left = max_bytes
        self._problem = problem
        self._remedy = remedy

    def restart(self, problem: str) -> None:
        """Count from here; ``problem`` is what reading too much raises from now on."""
        self._left = self._max_bytes
        self._problem = problem

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        chunk = self._file.read(len(view))
        self._left -= len(chunk)
        if self._left < 0:
            raise SourceRefused(self._problem, remedy=self._remedy)
        view[: len(chunk)] = chunk
        return len(chunk)

    @override
    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
