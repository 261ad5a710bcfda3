"""Small pictures of a snapshot's assets, for steps that need pixels."""

from __future__ import annotations

import asyncio

import numpy as np
import numpy.typing as npt
import structlog

from triptych.ai.step import Snapshot
from triptych.errors import ObjectMissing, PermanentItemError, StoreUnavailable
from triptych.media.contents import read_content
from triptych.media.decoders import Decoders
from triptych.objects import ObjectStore, object_key

LOOKS_MAX = 50_000
"""The most pictures that one AI phase reads; further requests return None."""
READ_S = 60.0

log = structlog.get_logger(__name__)


class StoredPixels:
    """Reads a snapshot's objects and decodes them in child processes.

    Call it from threads, not the event loop.
    """

    def __init__(
        self, snapshot: Snapshot, store: ObjectStore, decoders: Decoders, *, max_pixels: int
    ) -> None:
        self._snapshot = snapshot
        self._store = store
        self._decoders = decoders
        self._max_pixels = max_pixels
        self._loop = asyncio.get_running_loop()
        self._looks = 0
        self.lost: set[int] = set()
        """Rows whose object was asked for, and is damaged, missing or could not be read."""

    def __call__(self, row: int, side: int) -> npt.NDArray[np.uint8] | None:
        """Return asset ``row`` resized to (side, side, 3), RGB; None if it is unavailable."""
        self._looks += 1
        if self._looks > LOOKS_MAX:
            return None
        sha256 = self._snapshot.sha256[row].tobytes()
        key = object_key(sha256)
        try:
            content = read_content(self._store, sha256)
            reading = asyncio.run_coroutine_threadsafe(content, self._loop)
            body = reading.result(READ_S)
        except (ObjectMissing, StoreUnavailable, TimeoutError) as error:
            self.lost.add(row)
            log.warning("pixels_missing", object=key, error=str(error))
            return None
        try:
            about = {"brand": self._snapshot.brand, "object": key}
            return self._decoders.decode(
                body, size=side, max_pixels=self._max_pixels, about=about
            ).pixels
        except PermanentItemError as error:
            log.info("no_pixels", object=key, error=str(error))
            return None
