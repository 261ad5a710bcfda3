"""An object or a file that is open: what is known of it before it is read, and its bytes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Protocol

import obstore
from obstore.store import ObjectStore
from typing_extensions import override

from triptych.fetch.fetcher import Validators

CHUNK_BYTES = 1024 * 1024
SETTLED_S = 2.0
"""Seconds after which a file's times are those of its last change: file systems count time in
steps, so a file that is written twice within one looks unchanged."""


class Changed(Exception):
    """A file was changed while it was read."""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of an object before its bytes are read."""

    size: int
    etag: str | None
    last_modified: str | None
    """As HTTP writes it."""
    media_type: str = ""
    """As its store declares it; never trusted."""


class OpenBody(Protocol):
    """An object or a file that is open. For one thread at a time; all of it blocks."""

    @property
    def about(self) -> About:
        """What was known when it was opened."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes.

        Raises:
            Changed: it is no longer what it was when it was opened.
        """
        ...

    def close(self) -> None:
        """Close it. Safe to repeat."""
        ...


@dataclass(slots=True)
class Reading:
    """One passage through a body in a thread, which can be stopped from outside."""

    body: OpenBody
    stopped: threading.Event = field(default_factory=threading.Event)

    def read(self, most: int) -> bytearray:
        """Return its bytes, up to the first chunk with which there are more than ``most``."""
        read = bytearray()
        for chunk in self.body.chunks():
            read += chunk
            if len(read) > most or self.stopped.is_set():
                break
        return read


class FileBody(OpenBody):
    """A regular file. It takes over the descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        # A reader that a deadline has left behind may still be in it when it is closed.
        self._turn = threading.Lock()
        self._found = os.fstat(descriptor)

    @property
    @override
    def about(self) -> About:
        found = self._found
        newest = max(found.st_mtime, found.st_ctime)
        etag = f'"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ctime_ns:x}"'
        modified = datetime.fromtimestamp(found.st_mtime, UTC)
        return About(
            found.st_size,
            etag if time.time() - newest > SETTLED_S else None,
            format_datetime(modified, usegmt=True),
        )

    @override
    def chunks(self) -> Iterator[bytes]:
        while chunk := self._chunk():
            yield chunk
        with self._turn:
            if self._file.closed:
                return
            now, then = os.fstat(self._file.fileno()), self._found
        if (now.st_size, now.st_mtime_ns) != (then.st_size, then.st_mtime_ns):
            raise Changed

    @override
    def close(self) -> None:
        with self._turn:
            self._file.close()

    def _chunk(self) -> bytes | None:
        with self._turn:
            return None if self._file.closed else self._file.read(CHUNK_BYTES)


class StoreBody(OpenBody):
    """An object of a bucket. Nothing of it is read before `chunks`, and nothing has to be closed.

    Raises:
        one of `triptych.gather.bucket.FAILURES`: when it is opened, or read.
    """

    def __init__(self, store: ObjectStore, key: str, known: Validators | None) -> None:
        etag = known.etag if known else None
        self._found = obstore.get(store, key, options={"if_none_match": etag} if etag else None)

    @property
    @override
    def about(self) -> About:
        meta = self._found.meta
        return About(
            meta["size"],
            meta["e_tag"],
            format_datetime(meta["last_modified"].astimezone(UTC), usegmt=True),
            str(self._found.attributes.get("Content-Type", "")),
        )

    @override
    def chunks(self) -> Iterator[bytes]:
        for chunk in self._found.stream(min_chunk_size=CHUNK_BYTES):
            yield bytes(chunk)

    @override
    def close(self) -> None:
        """Do nothing: the connection goes back to the store's pool by itself."""
