"""Thumbnails: made from a stored picture when first requested, and then stored.

A thumbnail's key consists of its original's SHA-256, its width and the version of the method::

    thumbnails/<first two digits>/<next two>/<sha256>/<version>-<width>.webp

so its content never changes, it may be cached for ever, and it is made only once. It is stored with
a seal behind it, a SHA-256 of its key and its bytes: what a power cut or anything else has damaged,
or put under another key, is made again. So it is not flushed to the disk. WebP: every browser
supports it, it keeps transparency, and it takes about two thirds of a JPEG's bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import structlog

from triptych.errors import (
    BadInput,
    DecoderLost,
    NoThumbnail,
    PermanentItemError,
    ThumbnailFailed,
    ThumbnailsBusy,
)
from triptych.media.contents import has_content, read_content
from triptych.media.decoders import Decoders
from triptych.model import Reason
from triptych.objects import ObjectStore, object_key

MEDIA_TYPE = "image/webp"
VERSION = 3
"""Version of the method. Raise it when thumbnails' bytes would differ, and add its widths."""
WIDTHS_OF: Mapping[int, tuple[int, ...]] = MappingProxyType(
    dict.fromkeys((1, 2, 3), (160, 320, 640, 1280))
)
"""The widths in pixels of each version there ever was, so that old ones are found and deleted.
Version 2 applies colour profiles; version 3 has a seal."""
WIDTHS = WIDTHS_OF[VERSION]
SEAL_BYTES = 32
CURRENT_KEY = re.compile(rf"thumbnails/../../([0-9a-f]{{64}})/{VERSION}-[0-9]+\.webp")
"""The keys of this version."""
WAITING_MAX = 1000
"""Thumbnails being made or waiting; more are refused."""
LOST_S = 300.0
"""For so long a thumbnail that has cost a decoder is not tried again: each try takes seconds."""
LOST_MAX = 10_000
"""Such thumbnails remembered; the oldest is forgotten first."""

log = structlog.get_logger(__name__)


def thumbnail_key(sha256: bytes, width: int, version: int = VERSION) -> str:
    """Return the key of one thumbnail of the object of that SHA-256."""
    return _key(sha256.hex(), width, version)


def _key(name: str, width: int, version: int) -> str:
    return f"thumbnails/{name[:2]}/{name[2:4]}/{name}/{version}-{width}.webp"


def thumbnail_keys(sha256: bytes) -> Sequence[str]:
    """Return every key that a thumbnail of that object may have, of all versions.

    Delete an object first and then these: code that is making a thumbnail meanwhile sees that the
    object is gone, and deletes the thumbnail itself.
    """
    return thumbnails_of(object_key(sha256))


def thumbnails_of(stored: str) -> Sequence[str]:
    """Return the same for an object's key."""
    name = stored.rpartition("/")[2]
    return [_key(name, width, version) for version, widths in WIDTHS_OF.items() for width in widths]


def original_of(key: str) -> bytes | None:
    """Return the SHA-256 of a thumbnail's original; None if the key is not of this version."""
    found = CURRENT_KEY.fullmatch(key)
    return bytes.fromhex(found[1]) if found else None


def sealed(key: str, body: bytes) -> bytes:
    """Return a thumbnail as it is stored under its key: with its seal behind it."""
    return body + _seal(key, body)


def unsealed(key: str, stored: bytes) -> bytes | None:
    """Return the thumbnail that is stored under a key; None if it is damaged, or another's."""
    body, seal = stored[:-SEAL_BYTES], stored[-SEAL_BYTES:]
    return body if seal == _seal(key, body) else None


def _seal(key: str, body: bytes) -> bytes:
    return hashlib.sha256(key.encode() + body).digest()


class Thumbnails:
    """Thumbnails of stored pictures. For one event loop.

    Pictures are decoded in ``decoders``, never in this process. The number of threads limits how
    many originals are in memory.
    """

    def __init__(
        self, store: ObjectStore, decoders: Decoders, *, at_once: int, max_pixels: int
    ) -> None:
        self._store = store
        self._decoders = decoders
        self._max_pixels = max_pixels
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="thumbnails")
        self._slots = asyncio.Semaphore(at_once)
        self._making: dict[str, asyncio.Task[bytes]] = {}
        self._lost: OrderedDict[str, float] = OrderedDict()

    async def get(self, sha256: bytes, width: int) -> bytes:
        """Return the WebP, at most ``width`` wide, of the object of that SHA-256.

        Concurrent callers share one computation; cancelling one does not affect the others.

        Raises:
            BadInput: ``width`` is none of `WIDTHS`.
            NoThumbnail: the object is not a picture (`ThumbnailFailed`: it cannot be decoded), or
                is being deleted.
            ObjectMissing: there is no such object; `ObjectDamaged` if it is damaged.
            ThumbnailsBusy: `WAITING_MAX` others are being made.
            StoreUnavailable: the store does not answer.
        """
        if width not in WIDTHS:
            known = ", ".join(str(each) for each in WIDTHS)
            raise BadInput(
                f"There are no thumbnails {width} pixels wide.",
                field="width",
                remedy=f"Request one of {known}.",
            )
        key = thumbnail_key(sha256, width)
        making = self._making.get(key)
        if making is None:
            if len(self._making) >= WAITING_MAX:
                raise ThumbnailsBusy(remedy="Try again in a moment.")
            making = asyncio.create_task(self._find_or_make(key, sha256, width))
            self._making[key] = making
            making.add_done_callback(lambda done: self._made(key, done))
        return await asyncio.shield(making)

    async def of_bytes(self, body: bytes, width: int) -> bytes:
        """Return the WebP, at most ``width`` wide, of bytes that are not stored. Nor is it.

        Raises:
            NoThumbnail: they are no picture (`ThumbnailFailed`: it cannot be decoded).
        """
        async with self._slots:
            return await self._make(body, hashlib.sha256(body).digest(), width)

    async def close(self) -> None:
        """Cancel thumbnails being made. Safe to repeat."""
        making = list(self._making.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    def _made(self, key: str, task: asyncio.Task[bytes]) -> None:
        del self._making[key]
        if not task.cancelled():
            # The caller may be gone; the next caller gets the error.
            task.exception()

    async def _find_or_make(self, key: str, sha256: bytes, width: int) -> bytes:
        stored = await self._store.find(key)
        if stored is not None and (whole := unsealed(key, stored)) is not None:
            return whole
        if stored is not None:
            log.warning("thumbnail_damaged", object=key)
        if time.monotonic() < self._lost.get(key, 0.0):
            raise ThumbnailFailed("The picture has cost a decoder a moment ago.")
        async with self._slots:
            made = await self._make(await read_content(self._store, sha256), sha256, width)
        await self._store.put_as(key, sealed(key, made), MEDIA_TYPE)
        if not await has_content(self._store, sha256):
            # Deleted meanwhile: see `thumbnail_keys`.
            await self._store.delete([key])
            raise NoThumbnail(f"There is no object {sha256.hex()}.")
        return made

    async def _make(self, body: bytes, sha256: bytes, width: int) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._shrink, body, sha256, width)
        except PermanentItemError as error:
            if error.reason is Reason.NOT_AN_IMAGE:
                raise NoThumbnail(f"Only pictures have thumbnails: this is {error.detail}.") from (
                    error
                )
            if isinstance(error, DecoderLost):
                self._note_lost(thumbnail_key(sha256, width))
            log.warning("thumbnail_failed", reason=error.reason.value, detail=error.detail)
            raise ThumbnailFailed(f"The picture cannot be decoded: {error}.") from error

    def _note_lost(self, key: str) -> None:
        self._lost[key] = time.monotonic() + LOST_S
        self._lost.move_to_end(key)
        if len(self._lost) > LOST_MAX:
            self._lost.popitem(last=False)

    def _shrink(self, body: bytes, sha256: bytes, width: int) -> bytes:
        about = {"sha256": sha256.hex(), "width": str(width)}
        return self._decoders.thumbnail(body, width=width, max_pixels=self._max_pixels, about=about)
