"""Thumbnails: made from a stored picture on the first request, and then stored.

A thumbnail's key consists of its original's SHA-256, its width and the version of the method::

    thumbnails/<first two digits>/<next two>/<sha256>/<version>-<width>.webp

So it never changes, may be cached forever, and is made once for all callers. The format is WebP:
every browser shows it, it keeps transparency, and it takes about two thirds of a JPEG's bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import structlog

from triptych.errors import (
    BadInput,
    NoThumbnail,
    PermanentItemError,
    ThumbnailFailed,
    ThumbnailsBusy,
)
from triptych.media.decoders import Decoders
from triptych.model import Reason
from triptych.objects import ObjectStore, object_key

MEDIA_TYPE = "image/webp"
VERSION = 1
"""Version of the method. Increase it when the bytes would differ, and add its widths."""
WIDTHS_OF: Mapping[int, tuple[int, ...]] = MappingProxyType({1: (160, 320, 640, 1280)})
"""Widths in pixels of every version so far, so that old thumbnails are found and deleted."""
WIDTHS = WIDTHS_OF[VERSION]
WAITING_MAX = 1000
"""The most distinct thumbnails in the making or queued; further ones are refused."""

log = structlog.get_logger(__name__)


def thumbnail_key(sha256: bytes, width: int, version: int = VERSION) -> str:
    """Return the key of one thumbnail of the object with that SHA-256."""
    return _key(sha256.hex(), width, version)


def _key(name: str, width: int, version: int) -> str:
    return f"thumbnails/{name[:2]}/{name[2:4]}/{name}/{version}-{width}.webp"


def thumbnail_keys(sha256: bytes) -> Sequence[str]:
    """Return the keys of all possible thumbnails of that object, of all versions.

    Delete an object before its thumbnails: the maker of a thumbnail checks afterwards whether the
    object still exists, and deletes the thumbnail if not.
    """
    return thumbnails_of(object_key(sha256))


def thumbnails_of(stored: str) -> Sequence[str]:
    """Return the same for the key of an object."""
    name = stored.rpartition("/")[2]
    return [_key(name, width, version) for version, widths in WIDTHS_OF.items() for width in widths]


class Thumbnails:
    """Makes and serves thumbnails of stored pictures. For one event loop.

    Pictures are opened in ``decoders``, never in this process. As many are opened at a time as
    there are threads, so at most that many originals are in memory.
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

    async def get(self, sha256: bytes, width: int) -> bytes:
        """Return the WebP, at most ``width`` wide, of the object with that SHA-256.

        Concurrent callers share one task. Cancelling one caller does not affect the others.

        Raises:
            BadInput: ``width`` is not one of `WIDTHS`.
            NoThumbnail: there is no such object, or it is not a picture (`ThumbnailFailed`: a
                picture that cannot be decoded).
            ThumbnailsBusy: `WAITING_MAX` others are in the making.
            StoreUnavailable: the store does not respond.
        """
        if width not in WIDTHS:
            known = ", ".join(str(each) for each in WIDTHS)
            raise BadInput(
                f"There are no thumbnails {width} pixels wide.",
                field="width",
                remedy=f"Ask for one of {known}.",
            )
        key = thumbnail_key(sha256, width)
        making = self._making.get(key)
        if making is None:
            if len(self._making) >= WAITING_MAX:
                raise ThumbnailsBusy(remedy="Ask again in a moment.")
            making = asyncio.create_task(self._find_or_make(key, sha256, width))
            self._making[key] = making
            making.add_done_callback(lambda done: self._made(key, done))
        return await asyncio.shield(making)

    async def close(self) -> None:
        """Cancel the thumbnails in the making. Safe to repeat."""
        making = list(self._making.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)

    def _made(self, key: str, task: asyncio.Task[bytes]) -> None:
        del self._making[key]
        if not task.cancelled():
            # The callers may be gone; the next caller gets the error.
            task.exception()

    async def _find_or_make(self, key: str, sha256: bytes, width: int) -> bytes:
        stored = await self._store.find(key)
        if stored is not None:
            return stored
        async with self._slots:
            body = await self._store.find(object_key(sha256))
            if body is None:
                raise NoThumbnail(f"There is no object {sha256.hex()}.")
            made = await self._make(body, width)
        await self._store.put_as(key, made, MEDIA_TYPE)
        if not await self._store.exists(object_key(sha256)):
            # The object was deleted in the meantime: see `thumbnail_keys`.
            await self._store.delete([key])
            raise NoThumbnail(f"There is no object {sha256.hex()}.")
        return made

    async def _make(self, body: bytes, width: int) -> bytes:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._shrink, body, width)
        except PermanentItemError as error:
            if error.reason is Reason.NOT_AN_IMAGE:
                raise NoThumbnail(f"Only pictures have thumbnails: this is {error.detail}.") from (
                    error
                )
            log.warning("thumbnail_failed", reason=error.reason.value, detail=error.detail)
            raise ThumbnailFailed(f"The picture cannot be decoded: {error}.") from error

    def _shrink(self, body: bytes, width: int) -> bytes:
        return self._decoders.thumbnail(body, width=width, max_pixels=self._max_pixels)
