"""What brings an item's bytes: from the web, from an object store, or from a file."""

from __future__ import annotations

from collections.abc import Callable

from triptych.acquire.object_reader import ObjectReader
from triptych.fetch.fetcher import Fetched, Fetcher, Validators
from triptych.fetch.host_throttle import HostSlot
from triptych.gather.object_url import is_object_url


class ItemFetcher:
    """Chooses by the scheme of an item's URL who reads it. Both answer and fail alike."""

    def __init__(self, web: Fetcher, objects: ObjectReader) -> None:
        self._web = web
        self._objects = objects

    async def slot(
        self, url: str, *, source: str | None = None, crowded: Callable[[], bool] = lambda: False
    ) -> HostSlot:
        """Wait for a slot at the host or bucket of ``url``: see `Fetcher.slot`."""
        if is_object_url(url):
            return await self._objects.slot(url, crowded=crowded)
        return await self._web.slot(url, source=source, crowded=crowded)

    async def fetch(
        self, url: str, known: Validators | None = None, *, brand: str, source: str | None = None
    ) -> Fetched | None:
        """Bring the bytes of ``url``; None if they still match ``known``.

        Raises: as `Fetcher.fetch` and `ObjectReader.fetch`.
        """
        if is_object_url(url):
            return await self._objects.fetch(url, known, brand=brand, source=source)
        return await self._web.fetch(url, known, source=source)
