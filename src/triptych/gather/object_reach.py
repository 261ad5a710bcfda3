"""Which objects and files an item may name: what a worker decides when it reads one.

A row of a list, and a message of any program, may name ``file:///etc/passwd``. So an object is read
only if its folder or bucket is listed, or if it is below the place of its run's own source and this
machine's user or its settings have named that: see `triptych.gather.source_reach`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from triptych.gather.object_places import bucket_of, folder_of
from triptych.gather.object_url import ObjectUrl
from triptych.gather.source_folders import SETTING, SourceFolders
from triptych.gather.source_reach import BUCKETS_SETTING, SourceReach
from triptych.settings.source_text import Place, PlaceKind

IsTrusted = Callable[[str, str], Awaitable[bool]]
"""Returns whether this machine's own user has named a brand's source: `BrandStore.is_trusted`."""


class NotReachable(Exception):
    """An item names an object that may not be read for it; the message says which setting lists."""


class ObjectReach:
    """What may be read for an item."""

    def __init__(self, reach: SourceReach, is_trusted: IsTrusted) -> None:
        self._reach = reach
        self._is_trusted = is_trusted

    async def folders_for(self, url: ObjectUrl, *, brand: str, source: str | None) -> SourceFolders:
        """Return the folders through which a file is to be opened: they follow links no further.

        ``source`` is that of the item's run.

        Raises:
            NotReachable: it is in none.
        """
        if self._reach.folders.lists(url.key):
            return self._reach.folders
        own = folder_of(source or self._reach.own, brand)
        if own is not None:
            below = SourceFolders.below(own)
            if below.lists(url.key) and await self._trusts(brand, source):
                return below
        raise NotReachable(f"the file is in no listed folder; list it in {SETTING}")

    async def check_object(self, url: ObjectUrl, *, brand: str, source: str | None) -> None:
        """Raise `NotReachable` unless an object may be read for an item of this run's source."""
        bucket = f"{url.scheme}://{url.bucket}"
        if self._reach.buckets.lists(
            Place(PlaceKind.OBJECT, str(url), bucket, tuple(url.key.split("/")))
        ):
            return
        own = bucket_of(source or self._reach.own, brand)
        if own is not None and own.has(bucket, url.key) and await self._trusts(brand, source):
            return
        raise NotReachable(
            f"{bucket} is not a listed bucket, or its prefix is another; list it in "
            f"{BUCKETS_SETTING}"
        )

    async def refusal(self, url: ObjectUrl, *, brand: str, source: str | None) -> str | None:
        """Return why an object or a file may not be read; None if it may."""
        try:
            if url.is_file:
                await self.folders_for(url, brand=brand, source=source)
            else:
                await self.check_object(url, brand=brand, source=source)
        except NotReachable as error:
            return str(error)
        return None

    async def _trusts(self, brand: str, source: str | None) -> bool:
        if source is None or source == self._reach.own:
            return True  # It is that of the settings.
        return await self._is_trusted(brand, source)
