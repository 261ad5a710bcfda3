"""The object store: bytes under the hash of their content, stored once, checked when read."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, ParamSpec, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
import structlog
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import LocalStore, MemoryStore, S3Store, from_url
from obstore.store import ObjectStore as Store

from triptych.errors import (
    ObjectDamaged,
    ObjectMissing,
    SettingsError,
    StoreFull,
    StoreUnavailable,
    Unavailable,
)
from triptych.runtime.disk_space import free_space, is_disk_full
from triptych.runtime.file_creation import FileCreation
from triptych.runtime.file_flush import FileFlush
from triptych.runtime.object_file import ObjectFile
from triptych.telemetry.metrics import OBJECTS_DAMAGED, OBJECTS_REPLACED

if TYPE_CHECKING:
    from obstore import Attributes
    from obstore.store import RetryConfig

PROBE = b"triptych"
PROBE_KEY = f"sha256/probe/{hashlib.sha256(PROBE).hexdigest()}"
ROOM_KEY = "sha256/probe/room"
"""Where `ObjectStore.check_room` writes, and deletes again."""
AT_ONCE = 32
"""Concurrent calls to one store; each waits in a thread."""

DELETE_BATCH = 1000
"""The most keys of one delete request; the limit of S3."""
SIGNED_S = 300.0
"""Seconds for which a signed URL is valid."""
RETRIES: RetryConfig = {"max_retries": 5, "retry_timeout": timedelta(seconds=30)}
"""Deadline of one call to a remote store. A store that exceeds it counts as unavailable."""

open_writer = partial(obstore.open_writer, buffer_size=16 * 1024 * 1024, max_concurrency=4)
"""Opens a multipart upload, which holds at most so many parts of so many bytes."""
CHUNK_BYTES = 1024 * 1024
"""Read, hashed and compared at a time. An object no larger is checked before its first byte is
passed on."""
CONTENT_KEY = re.compile(r"sha256/([0-9a-f]{2})/(?:[0-9a-f]{2}/)?(\1[0-9a-f]{62})")
"""The keys that `object_key` makes, and those that it made until commit cd690e2."""

INLINE: Mapping[str, str] = MappingProxyType(
    {
        "image/png": "png",
        "image/jpeg": "jpg",
        "image/gif": "gif",
        "image/webp": "webp",
        "image/avif": "avif",
        "image/bmp": "bmp",
        "image/vnd.microsoft.icon": "ico",
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

log = structlog.get_logger(__name__)

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


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as the store lists it."""

    size_bytes: int
    modified_at: datetime
    """When it was last written, by the store's clock."""


def content_hash(key: str) -> bytes | None:
    """Return the SHA-256 that the bytes under a key must have; None if the key does not say it."""
    found = CONTENT_KEY.fullmatch(key)
    return bytes.fromhex(found[2]) if found else None


class DamageNotes(Protocol):
    """Which objects are known to be damaged, for all processes. Its methods raise `Unavailable`."""

    async def note(self, keys: Sequence[str]) -> None:
        """Note that objects are damaged. Safe to repeat."""
        ...

    async def noted(self, keys: Sequence[str]) -> frozenset[str]:
        """Return which of these objects are noted, and have not been stored again since."""
        ...


class ObjectStore:
    """Content-addressed objects on any of obstore's stores.

    A put is safe to repeat, by any number of processes at once: a key's content never changes. A
    put returns only after the store has accepted the whole object under its final name, and `flush`
    after it has become durable. So a row that is written afterwards never points to a missing
    object, also after a power cut. What lies outside: a disk that reports a flush it has not done.

    A key says what its bytes hash to, and every whole read checks it. A put compares what it finds
    under its key, byte for byte, and replaces it if it is damaged.

    obstore's blocking functions run in Python threads. Its asynchronous functions call back from a
    Rust thread, which aborts a process that is exiting at that moment.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        files: FileFlush | None = None,
        damage: DamageNotes | None = None,
    ) -> None:
        """Use a store, and ``files`` to flush it if it is a folder: others write durably.

        Damaged objects that are read are noted in ``damage``; those noted there are not `present`.
        """
        self._store = store
        self._name = name
        self._files = files
        self._damage = damage
        self._creation = FileCreation(files.root) if files is not None else None
        self._flushes = 0
        # Its own pool: the shared one also resolves names, which may stall.
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="objects")

    async def put(self, body: bytes, sha256: bytes, media_type: str) -> str:
        """Store ``body`` unless it is there; return its key.

        Raises:
            StoreUnavailable: it could not be stored.
        """
        key = object_key(sha256)
        await self.put_as(key, body, media_type)
        return key

    async def put_as(self, key: str, body: bytes, media_type: str) -> None:
        """Store ``body`` under a key that always has the same content, unless it is there.

        Raises:
            StoreUnavailable: it could not be stored.
        """
        if self._created_at_once(key, body):
            return
        # The local store does not support attributes; the type is in the row, too.
        attributes = None if self._files else _attributes(media_type)
        await self._guarded(self._put, key, body, attributes)

    def _created_at_once(self, key: str, body: bytes) -> bool:
        # A file that is created during a flush may have to wait for its end.
        if self._creation is None or self._flushes:
            return False
        return self._creation.create_at_once(key, body)

    def _put(self, key: str, body: bytes, attributes: Attributes | None) -> None:
        if self._creation is not None and self._creation.create(key, body):
            return
        try:
            self._write(key, body, attributes, "create")
        except AlreadyExistsError:
            if not self._holds(key, body):
                self._write(key, body, attributes, "overwrite")
                if content_hash(key) is not None:
                    OBJECTS_REPLACED.inc()
                    log.warning("object_replaced", object=key)

    def _write(
        self,
        key: str,
        body: bytes,
        attributes: Attributes | None,
        mode: Literal["create", "overwrite"],
    ) -> None:
        obstore.put(self._store, key, body, mode=mode, attributes=attributes, use_multipart=False)

    def _holds(self, key: str, body: bytes) -> bool:
        """Return whether an object has this body, byte for byte; False if it cannot be read."""
        position = 0
        with suppress(
            BaseError, OSError
        ):  # A bad block; or an outage, and then writing fails, too.
            for chunk in self._chunks(key) if self._size(key) == len(body) else ():
                if chunk != body[position : position + len(chunk)]:
                    return False
                position += len(chunk)
        return position == len(body) > 0

    def _chunks(self, key: str) -> Iterator[bytes]:
        """Yield an object's bytes, about `CHUNK_BYTES` at a time; none if it does not exist."""
        with suppress(NotFoundError, FileNotFoundError):
            for chunk in obstore.get(self._store, key).stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    async def flush(self, keys: Collection[str]) -> frozenset[str]:
        """Make objects durable: call it before a transaction that writes rows naming them.

        Returns:
            The keys whose object is not durable: it is no longer there, or the disk did not take
            it. Put it again.

        Raises:
            StoreUnavailable: nothing could be made durable.
        """
        if self._files is None or not keys:
            return frozenset()
        self._flushes += 1
        try:
            return await self._guarded(self._files.flush, keys)
        finally:
            self._flushes -= 1

    async def get(self, key: str, *, size_bytes: int | None = None) -> bytes:
        """Return an object's bytes, which have the hash that the key says.

        Raises:
            ObjectMissing: it is not there; `ObjectDamaged` if it has another hash, or not the size
                that is given.
            StoreUnavailable: it cannot be read.
        """
        body, intact = await self._guarded(self._find_checked, key)
        if body is None:
            raise self._missing(key)
        if not intact or size_bytes not in (None, len(body)):
            raise await self.damaged(key)
        return body

    def _find_checked(self, key: str) -> tuple[bytes | None, bool]:
        """Return an object's bytes, and whether they have the hash that the key says."""
        body, expected = self._find(key), content_hash(key)
        intact = body is None or expected is None or hashlib.sha256(body).digest() == expected
        return body, intact

    async def stream(
        self, key: str, *, size_bytes: int, sha256: bytes | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the bytes of an object of that size, `CHUNK_BYTES` at a time, holding one chunk.

        The last chunk is yielded only when all bytes have the hash that is given, or that the key
        says: whoever has got the whole has the right one.

        Raises:
            ObjectMissing, StoreUnavailable: as `get` does; also in the middle.
        """
        hashed, expected = hashlib.sha256(), sha256 or content_hash(key)
        for start in range(0, size_bytes, CHUNK_BYTES):
            end = min(size_bytes, start + CHUNK_BYTES)
            chunk = await self.get_range(key, start, end, size_bytes=size_bytes)
            if expected is not None:
                # In a thread: it takes the event loop's time otherwise.
                await self._run(hashed.update, chunk)
                if end == size_bytes and hashed.digest() != expected:
                    raise await self.damaged(key)
            yield chunk

    async def digest(self, key: str) -> bytes | None:
        """Return the SHA-256 of an object's bytes, read in chunks; None if it does not exist.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        return await self._guarded(self._digest, key)

    def _digest(self, key: str) -> bytes | None:
        hashed, empty = hashlib.sha256(), True
        for chunk in self._chunks(key):
            hashed.update(chunk)
            empty = False
        return None if empty and self._size(key) is None else hashed.digest()

    async def damaged(self, key: str) -> ObjectDamaged:
        """Log, count and note that an object is damaged; return the error to raise."""
        OBJECTS_DAMAGED.labels("read").inc()
        log.warning("object_damaged", object=key, store=self._name)
        if self._damage is not None and content_hash(key) is not None:
            try:
                await self._damage.note([key])
            except Unavailable as error:
                # The next read, or `triptych verify`, notes it.
                log.warning("damage_not_noted", object=key, error=str(error))
        return ObjectDamaged(
            f"The object {key} is damaged: its bytes are not those that were stored.",
            remedy="Run its brand again, or `triptych verify --repair`: that fetches it again.",
        )

    async def find(self, key: str) -> bytes | None:
        """Return an object's bytes as they are, unchecked; None if the key does not exist.

        Raises:
            StoreUnavailable: the store does not respond.
        """
        return await self._guarded(self._find, key)

    async def get_range(self, key: str, start: int, end: int, *, size_bytes: int) -> bytes:
        """Return the bytes from ``start`` up to, not including, ``end`` of an object of that size.

        Raises:
            ObjectMissing: there is none, or it has another size.
            StoreUnavailable: it cannot be read.
        """
        body = await self._guarded(self._read_range, key, start, end, size_bytes)
        if body is None:
            raise self._missing(key)
        return body

    async def check_present(self, key: str, size_bytes: int) -> None:
        """Raise `ObjectMissing` unless there is an object of that size.

        Raises:
            StoreUnavailable: the store does not respond.
        """
        if key not in await self.present({key: size_bytes}):
            raise self._missing(key)

    async def present(self, sizes: Mapping[str, int]) -> frozenset[str]:
        """Return which of these keys have an object of the size in bytes that is given for them.

        An object that is noted as damaged is not among them.

        Raises:
            StoreUnavailable: the store does not respond.
            DatabaseUnavailable: the notes cannot be read.
        """
        found = await self.sizes(sizes)
        there = frozenset(key for key, size in sizes.items() if found.get(key) == size)
        if self._damage is None or not there:
            return there
        return there - await self._damage.noted(sorted(there))

    async def sizes(self, keys: Collection[str]) -> Mapping[str, int]:
        """Return the sizes in bytes of those of the objects that exist.

        Raises:
            StoreUnavailable: the store does not respond.
        """
        if self._files is not None and keys:
            found = await self._guarded(lambda: [self._size(key) for key in keys])
        else:
            found = await asyncio.gather(*(self._guarded(self._size, key) for key in keys))
        pairs = zip(keys, found, strict=True)
        return {key: size for key, size in pairs if size is not None}

    async def list_under(self, prefix: str) -> Mapping[str, Listed]:
        """Return all objects whose keys begin with ``prefix``, which ends with a slash.

        Raises:
            StoreUnavailable: the store does not respond.
        """
        return await self._guarded(self._listed, prefix)

    def _listed(self, prefix: str) -> Mapping[str, Listed]:
        return {
            found["path"]: Listed(found["size"], found["last_modified"])
            for page in obstore.list(self._store, prefix)
            for found in page
        }

    async def signed_url(self, key: str) -> str | None:
        """Return a URL that reads an object for `SIGNED_S`; None if the store cannot sign URLs.

        Raises:
            StoreUnavailable: there are no credentials.
        """
        if not isinstance(self._store, S3Store):
            return None
        return await self._guarded(self._sign, self._store, key)

    @staticmethod
    def _sign(store: S3Store, key: str) -> str:
        return obstore.sign(store, "GET", key, timedelta(seconds=SIGNED_S))

    async def exists(self, key: str) -> bool:
        """Return whether an object has that key.

        Raises:
            StoreUnavailable: the store does not respond.
        """
        return await self._guarded(self._size, key) is not None

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
        writer = open_writer(self._store, key)
        return ObjectFile(writer, partial(self._flush_file, key), self._unavailable)

    def _flush_file(self, key: str) -> None:
        if self._files is not None and self._files.flush([key]):
            raise OSError("its bytes did not reach the disk")

    async def delete_under(self, prefix: str) -> None:
        """Delete all objects whose keys begin with ``prefix``, which ends with a slash.

        Raises:
            StoreUnavailable: some objects may remain.
        """
        await self.delete(await self._guarded(self._keys_under, prefix))

    def _keys_under(self, prefix: str) -> list[str]:
        return [found["path"] for found in obstore.list(self._store, prefix).collect()]

    async def check(self) -> None:
        """Raise `StoreUnavailable` unless an object can be written and read back."""
        await self.put_as(PROBE_KEY, PROBE, "text/plain")
        if await self.find(PROBE_KEY) != PROBE:
            raise StoreUnavailable(
                f"The object store {self._name} returns other bytes than were stored.",
                remedy="Choose another TRIPTYCH_STORE_URL.",
            )

    async def check_room(self, body: bytes) -> None:
        """Raise `StoreUnavailable` unless a body can be stored, under whatever key."""
        await self._guarded(self._write, ROOM_KEY, body, None, "overwrite")
        await self._delete([ROOM_KEY])

    async def _guarded(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a blocking function in a thread; its errors become `StoreUnavailable`."""
        try:
            return await self._run(call, *args, **kwargs)
        except (BaseError, OSError) as error:
            raise self._unavailable(error) from error

    async def _run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(call, *args, **kwargs))

    def _size(self, key: str) -> int | None:
        """Return an object's size in bytes; None if it does not exist."""
        try:
            if self._files is not None:
                return (self._files.root / key).stat().st_size  # A tenth of the time of `head`.
            return obstore.head(self._store, key)["size"]
        except (NotFoundError, FileNotFoundError):
            return None

    def _find(self, key: str) -> bytes | None:
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except (NotFoundError, FileNotFoundError):
            return None

    def _read_range(self, key: str, start: int, end: int, size_bytes: int) -> bytes | None:
        """Return a part of an object; None if it does not exist or has another size."""
        try:
            found = obstore.get(self._store, key, options={"range": (start, end)})
            return bytes(found.bytes()) if found.meta["size"] == size_bytes else None
        except (BaseError, OSError):
            # A range after the end of what is there has an error of its own in each store.
            if self._size(key) != size_bytes:
                return None
            raise

    def _missing(self, key: str) -> ObjectMissing:
        return ObjectMissing(
            f"The object store {self._name} does not have {key}, or not all of it.",
            remedy="Run its brand again: that fetches and stores what is missing.",
        )

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        if is_disk_full(error):
            return self._full(error)
        return StoreUnavailable(
            f"The object store {self._name} does not answer ({_first_line(error)}).",
            remedy="Check TRIPTYCH_STORE_URL and its credentials; work resumes by itself.",
        )

    def _full(self, error: Exception) -> StoreFull:
        free = free_space(self._files.root) if self._files is not None else "no room is left"
        return StoreFull(
            f"The disk of the object store {self._name} is full: {free} ({_first_line(error)}).",
            remedy="Free some space on it, or move the store to a larger one and change "
            "TRIPTYCH_STORE_URL; work waits and resumes by itself.",
        )


def open_store(url: str, default_root: Path, damage: DamageNotes | None = None) -> ObjectStore:
    """Open the store that ``url`` names: ``file:``, ``file:///path``, ``memory:``, ``s3://…`` ….

    ``damage`` has, and is told, which objects are damaged.

    Raises:
        StoreUnavailable: a folder cannot be created.
        SettingsError: the URL is invalid.
    """
    if url == "memory:":
        return ObjectStore(MemoryStore(), url, damage=damage)
    if url.startswith("file:"):
        path = unquote(urlsplit(url).path)
        root = (Path(path) if path else default_root).absolute()
        try:
            local = LocalStore(prefix=root, mkdir=True)
            return ObjectStore(local, str(root), FileFlush(root), damage)
        except (BaseError, OSError) as error:
            raise StoreUnavailable(
                f"The folder {root} cannot be used ({_first_line(error)}).",
                remedy="Choose another TRIPTYCH_STORE_URL or --data.",
            ) from error
    try:
        return ObjectStore(from_url(url, retry_config=RETRIES), url, damage=damage)
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
