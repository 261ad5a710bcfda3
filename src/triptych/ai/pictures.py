"""Whole pictures of content, for asset steps: read from the object store, decoded in a sandbox."""

from __future__ import annotations

from typing import Protocol

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
from triptych.media.svg_source import SVG
from triptych.objects import ObjectStore, object_key

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


class StoredPictures(PictureReader):
    """`PictureReader` from an object store. For one event loop."""

    def __init__(self, store: ObjectStore, decoders: Decoders, *, max_pixels: int) -> None:
        self._store = store
        self._decoders = decoders
        self._max_pixels = max_pixels

    @override
    async def __call__(self, sha256: bytes, side: int) -> Picture | None:
        key = object_key(sha256)
        try:
            body = await read_content(self._store, sha256)
        except (ObjectMissing, StoreUnavailable) as error:
            log.warning("picture_missing", object=key, error=str(error))
            return None

        def decode() -> Picture:
            about = {"object": key}
            found = self._decoders.decode(body, size=side, max_pixels=self._max_pixels, about=about)
            return in_proportion(found, side)

        try:
            return await in_thread(decode, name="ai-decode")
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
