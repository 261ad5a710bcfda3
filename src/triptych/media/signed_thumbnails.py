"""URLs by which browsers read thumbnails from S3 themselves, for a few minutes each."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from triptych.media.thumbnails import thumbnail_key
from triptych.objects import SIGNED_S, ObjectStore

REUSED_S = SIGNED_S / 2
"""Seconds for which one URL is given out, so that browsers find in their cache what it led to."""
SPARE_S = 30.0
"""Seconds before its end in which a URL is no longer used: clocks differ, and lines are slow."""
SEEN_S = 3600.0
"""Seconds for which a thumbnail that was there counts as there, unread."""
URLS_MAX = 50_000
"""URLs remembered, each of about a kilobyte; the least recent is forgotten first."""


class Made(Protocol):
    """Thumbnails that are made when they are first wanted."""

    async def get(self, sha256: bytes, width: int) -> bytes:
        """Return one, and store it: see `triptych.media.thumbnails.Thumbnails`."""
        ...


@dataclass(frozen=True, slots=True)
class Signed:
    """A URL that anybody who has it may read."""

    url: str
    valid_s: float
    """Seconds for which it may be used, and so be cached."""


@dataclass(slots=True)
class _Known:
    seen_at: float
    url: str = ""
    signed_at: float = float("-inf")


class SignedThumbnails:
    """Signs URLs of thumbnails that exist. For one event loop.

    A thumbnail is read, checked and if need be made before its first URL, and again after
    `SEEN_S`; in between its bytes do not pass through this process, which cannot check them.
    """

    def __init__(
        self,
        store: ObjectStore,
        made: Made,
        origin: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``origin`` is where the URLs lead, for a Content-Security-Policy."""
        self.origin = origin
        self._store = store
        self._made = made
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def url(self, sha256: bytes, width: int) -> Signed:
        """Return a URL of the thumbnail of that object, the same for `REUSED_S`.

        Raises:
            TriptychError: what `Thumbnails.get` raises, and StoreUnavailable without credentials.
        """
        key = thumbnail_key(sha256, width)
        known = self._known.get(key)
        if known is None or self._clock() - known.seen_at >= SEEN_S:
            await self._made.get(sha256, width)
            known = self._remember(key)
        if self._clock() - known.signed_at >= REUSED_S:
            signed_at = self._clock()
            known.url, known.signed_at = await _sign(self._store, key), signed_at
        if key in self._known:
            self._known.move_to_end(key)
        return Signed(known.url, SIGNED_S - SPARE_S - (self._clock() - known.signed_at))

    def _remember(self, key: str) -> _Known:
        known = self._known[key] = _Known(self._clock())
        if len(self._known) > URLS_MAX:
            self._known.popitem(last=False)
        return known


async def _sign(store: ObjectStore, key: str) -> str:
    url = await store.signed_url(key)
    assert url is not None, "a store that has once signed does so again"
    return url


async def origin_of(store: ObjectStore) -> str | None:
    """Return where a store's signed URLs lead, as an origin (RFC 6454); None if it signs none.

    Raises:
        StoreUnavailable: there are no credentials.
    """
    url = await store.signed_url("thumbnails/")
    if url is None:
        return None
    place = urlsplit(url)
    return f"{place.scheme}://{place.netloc}"
