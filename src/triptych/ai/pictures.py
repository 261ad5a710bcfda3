"""Whole pictures of content, for asset steps: read from the object store, decoded in a sandbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import numpy as np
import structlog
from PIL import Image
from typing_extensions import override

from triptych.ai.asset_step import Picture
from triptych.ai.step_thread import in_thread
from triptych.errors import ObjectMissing, PermanentItemError, StoreUnavailable
from triptych.media.contents import read_content
from triptych.media.decoded import Decoded
from triptych.media.decoders import Decoders
from triptych.media.file_facts import FileFacts
from triptych.media.svg_source import SVG
from triptych.objects import ObjectStore, object_key

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Unreadable(Exception):
    """The content cannot be decoded, now or later."""


class PictureReader(Protocol):
    """Reads pictures of content."""

    async def __call__(self, sha256: bytes, side: int) -> Picture | None:
        """Return a picture with its longest side at most ``side``; None if it is away for now.

        Raises:
            Unreadable: the content cannot be decoded.
            Unavailable: decoders do not start here.
        """
        ...

    async def facts(self, sha256: bytes) -> FileFacts | None:
        """Return what a picture's file shows; None if it is away for now. Raises as a call does."""
        ...


class StoredPictures(PictureReader):
    """`PictureReader` from an object store. For one event loop."""

    def __init__(self, store: ObjectStore, decoders: Decoders, *, max_pixels: int) -> None:
        self._store = store
        self._decoders = decoders
        self._max_pixels = max_pixels

    @override
    async def __call__(self, sha256: bytes, side: int) -> Picture | None:
        def decode(body: bytes, about: Mapping[str, str]) -> Picture:
            found = self._decoders.decode(body, size=side, max_pixels=self._max_pixels, about=about)
            return in_proportion(found, side)

        return await self._read(sha256, decode)

    @override
    async def facts(self, sha256: bytes) -> FileFacts | None:
        def read(body: bytes, about: Mapping[str, str]) -> FileFacts:
            return self._decoders.facts(body, max_pixels=self._max_pixels, about=about)

        return await self._read(sha256, read)

    async def _read(
        self, sha256: bytes, decode: Callable[[bytes, Mapping[str, str]], T]
    ) -> T | None:
        key = object_key(sha256)
        try:
            body = await read_content(self._store, sha256)
        except (ObjectMissing, StoreUnavailable) as error:
            log.warning("picture_missing", object=key, error=str(error))
            return None
        try:
            return await in_thread(lambda: decode(body, {"object": key}), name="ai-decode")
        except PermanentItemError as error:
            raise Unreadable(str(error)) from error


def in_proportion(decoded: Decoded, side: int) -> Picture:
    """Return a picture, decoded as a square of ``side``, in its proportions and not enlarged.

    An SVG has no size in pixels: its longest side is ``side``.
    """
    longest = max(decoded.width, decoded.height)
    scale = (side if decoded.media_type == SVG else min(side, longest)) / longest
    size = (max(1, round(decoded.width * scale)), max(1, round(decoded.height * scale)))
    square = Image.fromarray(decoded.pixels)
    return np.asarray(square.resize(size, Image.Resampling.BICUBIC), dtype=np.uint8)
