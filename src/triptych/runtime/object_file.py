"""A file that is written once and becomes an object of a store."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError

from triptych.errors import StoreUnavailable

if TYPE_CHECKING:
    import obstore
    from _typeshed import ReadableBuffer as Buffer


class ObjectFile(io.RawIOBase):
    """A file that is written once, sequentially, and becomes an object."""

    def __init__(
        self,
        writer: obstore.WritableFile,
        flush: Callable[[], None],
        unavailable: Callable[[Exception], StoreUnavailable],
    ) -> None:
        """Write to ``writer``, and call ``flush`` to make the object durable.

        ``unavailable`` makes the errors that are raised of those of the store.
        """
        super().__init__()
        self._writer = writer
        self._flush_object = flush
        self._unavailable = unavailable
        self._hashed = hashlib.sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> bytes:
        """The SHA-256 of the bytes written."""
        return self._hashed.digest()

    def writable(self) -> bool:
        """Return True: the file is writable."""
        return True

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self.size_bytes

    def write(self, content: Buffer, /) -> int:
        """Add bytes.

        Raises:
            StoreUnavailable: they could not be stored.
        """
        # Copied: the store writes later, and callers reuse their buffers.
        plain = bytes(content)
        try:
            self._writer.write(plain)
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error
        self._hashed.update(plain)
        self.size_bytes += len(plain)
        return len(plain)

    def close(self) -> None:
        """Finish the object and make it durable. Safe to repeat.

        Raises:
            StoreUnavailable: there is no object, or it may not survive a power cut.
        """
        if self.closed:
            return
        try:
            self._writer.close()
            self._flush_object()
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error
        finally:
            super().close()
