"""The object store: bytes under the hash of their content, each stored once."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore, MemoryStore, S3Store, from_url
from obstore.store import ObjectStore as Store

from triptych.errors import SettingsError, StoreUnavailable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer
    from obstore import Attributes
    from obstore.store import RetryConfig

PROBE = b"triptych"
PROBE_KEY = f"sha256/probe/{hashlib.sha256(PROBE).hexdigest()}"
AT_ONCE = 32
"""Concurrent calls to one store; each waits in a thread."""

DELETE_BATCH = 1000
"""The most keys of one delete request; the limit of S3."""
SIGNED_S = 300.0
"""Seconds for which a signed URL is valid."""
RETRIES: RetryConfig = {"max_retries": 5, "retry_timeout": timedelta(seconds=30)}
"""Deadline of one call to a remote store. A store that exceeds it counts as unavailable."""

WRITE_BUFFER_BYTES = 16 * 1024 * 1024
"""Size of a part of a multipart upload."""

INLINE: Mapping[str, str] = MappingProxyType(
    {
        "image/png": "png",
        "image/jpeg": "jpg",
        "image/gif": "gif",
        "image/webp": "webp",
        "image/avif": "avif",
        "image/bmp": "bmp",
        "video/mp4": "mp4",
        "video/webm": "webm",
        "audio/mpeg": "mp3",
    }
)
"""Types that a browser may display inline, with their file extensions: formats without scripts. All
other types are downloaded."""
MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,99}")
ACTIVE = re.compile(r"html|xml|svg|script|pdf")
"""Types that a browser could execute as code."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Presentation:
    """How an object is served to a browser."""

    media_type: str
    ending: str | None
    """File extension without the dot; None for types that are only downloaded."""

    @property
    def disposition(self) -> Literal["inline", "attachment"]:
        """The first word of Content-Disposition."""
        return "attachment" if self.ending is None else "inline"


def presentation(media_type: str) -> Presentation:
    """Return how content of a type is served to a browser: never as executable content."""
    kind = media_type.lower()
    harmless = MEDIA_TYPE.fullmatch(kind) and not ACTIVE.search(kind)
    return Presentation(kind if harmless else "application/octet-stream", INLINE.get(kind))


def object_key(sha256: bytes) -> str:
    """Return the key under which content of this SHA-256 is stored.

    There is one level of 256 folders. With two, most objects of a local store would have their own
    folder, and creating it takes longer than writing the object.
    """
    name = sha256.hex()
    return f"sha256/{name[:2]}/{name}"


class ObjectStore:
    """Content-addressed objects on any of obstore's stores.

    A put is safe to repeat, by any number of processes at once: the same key always holds the
    same bytes, and an object is never overwritten. A put returns only after the store has
    accepted the whole object under its final name, so a row written afterwards never points to a
    missing one. The local store leaves flushing to the operating system: objects survive the crash
    of any process, but a power failure may lose the newest ones.

    obstore's blocking functions run in Python threads. Its asynchronous functions call back from a
    Rust thread, which aborts a process that is exiting at that moment.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        # Its own pool: the shared one also resolves names, which may stall.
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="objects")

    async def put(self, body: bytes, sha256: bytes, media_type: str) -> str:
        """Store ``body`` unless it exists; return its key.

        Raises:
            StoreUnavailable: it could not be stored.
        """
        key = object_key(sha256)
        await self.put_as(key, body, media_type)
        return key

    async def put_as(self, key: str, body: bytes, media_type: str) -> None:
        """Store ``body`` under a key that always has the same content, unless it exists.

        Raises:
            StoreUnavailable: it could not be stored.
        """
        # The local store does not support attributes; the type is in the row, too.
        attributes = None if isinstance(self._store, LocalStore) else _attributes(media_type)
        try:
            await self._run(
                obstore.put,
                self._store,
                key,
                body,
                mode="create",
                attributes=attributes,
                use_multipart=False,
            )
        except AlreadyExistsError:
            return
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    async def get(self, key: str) -> bytes:
        """Return an object's bytes.

        Raises:
            StoreUnavailable: it cannot be read, or it is missing, which would be a defect.
        """
        try:
            return await self._run(self._read, key)
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    async def find(self, key: str) -> bytes | None:
        """Return an object's bytes; None if the key does not exist.

        Raises:
            StoreUnavailable: the store does not respond.
        """
        try:
            return await self._run(self._read, key)
        except (NotFoundError, FileNotFoundError):
            return None
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """Return an object's bytes from ``start`` up to, not including, ``end``.

        Raises:
            StoreUnavailable: as `get`.
        """
        try:
            return await self._run(self._read_range, key, start, end)
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    async def signed_url(self, key: str) -> str | None:
        """Return a URL that reads an object for `SIGNED_S`; None if the store cannot sign URLs.

        Raises:
            StoreUnavailable: there are no credentials.
        """
        if not isinstance(self._store, S3Store):
            return None
        try:
            return await self._run(self._sign, self._store, key)
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    @staticmethod
    def _sign(store: S3Store, key: str) -> str:
        return obstore.sign(store, "GET", key, timedelta(seconds=SIGNED_S))

    async def exists(self, key: str) -> bool:
        """Return whether an object has that key.

        Raises:
            StoreUnavailable: the store does not respond.
        """
        try:
            await self._run(obstore.head, self._store, key)
        except (NotFoundError, FileNotFoundError):
            return False
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error
        return True

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; missing ones are not an error.

        Raises:
            StoreUnavailable: some objects may remain.
        """
        for start in range(0, len(keys), DELETE_BATCH):
            await self._delete(list(keys[start : start + DELETE_BATCH]))

    async def _delete(self, keys: list[str]) -> None:
        try:
            await self._run(obstore.delete, self._store, keys)
        except (NotFoundError, FileNotFoundError):
            # The local store stops at the first missing object.
            if len(keys) > 1:
                for key in keys:
                    await self._delete([key])
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    def open_file(self, key: str) -> ObjectFile:
        """Return a file whose bytes become an object when it is closed. Its methods block."""
        return ObjectFile(obstore.open_writer(self._store, key, buffer_size=WRITE_BUFFER_BYTES))

    async def delete_under(self, prefix: str) -> None:
        """Delete all objects whose keys begin with ``prefix``, which ends with a slash.

        Raises:
            StoreUnavailable: some objects may remain.
        """
        try:
            await self.delete(await self._run(self._keys_under, prefix))
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    def _keys_under(self, prefix: str) -> list[str]:
        return [found["path"] for found in obstore.list(self._store, prefix).collect()]

    async def check(self) -> None:
        """Raise `StoreUnavailable` unless an object can be written and read back."""
        await self.put_as(PROBE_KEY, PROBE, "text/plain")
        if await self.get(PROBE_KEY) != PROBE:
            raise StoreUnavailable(
                f"The object store {self._name} returns other bytes than were stored.",
                remedy="Choose another TRIPTYCH_STORE_URL.",
            )

    async def _run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(call, *args, **kwargs))

    def _read(self, key: str) -> bytes:
        return bytes(obstore.get(self._store, key).bytes())

    def _read_range(self, key: str, start: int, end: int) -> bytes:
        return bytes(obstore.get_range(self._store, key, start=start, end=end))

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(
            f"The object store {self._name} does not answer ({_first_line(error)}).",
            remedy="Check TRIPTYCH_STORE_URL and its credentials; work resumes by itself.",
        )


class ObjectFile(io.RawIOBase):
    """A file that is written once, sequentially, and becomes an object."""

    def __init__(self, writer: obstore.WritableFile) -> None:
        super().__init__()
        self._writer = writer
        self.size_bytes = 0

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
            raise StoreUnavailable(
                f"The object store did not accept the rest of a file ({_first_line(error)}).",
                remedy="Check TRIPTYCH_STORE_URL and its credentials.",
            ) from error
        self.size_bytes += len(plain)
        return len(plain)

    def close(self) -> None:
        """Finish the object. Safe to repeat.

        Raises:
            StoreUnavailable: no object was created.
        """
        if self.closed:
            return
        try:
            self._writer.close()
        except (BaseError, OSError) as error:
            raise StoreUnavailable(
                f"The object store did not finish a file ({_first_line(error)}).",
                remedy="Check TRIPTYCH_STORE_URL and its credentials.",
            ) from error
        finally:
            super().close()


def open_store(url: str, default_root: Path) -> ObjectStore:
    """Open the store that ``url`` names: ``file:``, ``file:///path``, ``memory:``, ``s3://…`` ….

    Raises:
        StoreUnavailable: a folder cannot be created.
        SettingsError: the URL is invalid.
    """
    if url == "memory:":
        return ObjectStore(MemoryStore(), url)
    if url.startswith("file:"):
        path = unquote(urlsplit(url).path)
        root = (Path(path) if path else default_root).absolute()
        try:
            return ObjectStore(LocalStore(prefix=root, mkdir=True), str(root))
        except (BaseError, OSError) as error:
            raise StoreUnavailable(
                f"The folder {root} cannot be used ({_first_line(error)}).",
                remedy="Choose another TRIPTYCH_STORE_URL or --data.",
            ) from error
    try:
        return ObjectStore(from_url(url, retry_config=RETRIES), url)
    except (BaseError, ValueError) as error:
        raise SettingsError(
            f"Not an object store that can be opened ({_first_line(error)}).",
            field="TRIPTYCH_STORE_URL",
            remedy="Write file:, file:///path, s3://bucket/prefix, gs://… or az://….",
        ) from error


def _attributes(media_type: str) -> Attributes:
    """Return the response headers for an object served by a signed URL."""
    shown = presentation(media_type)
    attributes: Attributes = {"Content-Type": shown.media_type}
    if shown.disposition == "attachment":
        attributes["Content-Disposition"] = shown.disposition
    return attributes


def _first_line(error: Exception) -> str:
    """Return the first line of an error, without the internals that obstore adds."""
    return (str(error) or type(error).__name__).splitlines()[0]
