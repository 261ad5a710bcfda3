"""Repairing damaged or lost objects: from a version that the store has kept, or from their URLs.

Only the same bytes are put.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import structlog

from triptych.acquire.item_fetcher import ItemFetcher
from triptych.errors import ItemError, PermanentItemError, Postponed, StoreUnavailable
from triptych.objects import ObjectStore, content_hash
from triptych.runs.brand_store import BrandStore
from triptych.runtime.retry import backoff
from triptych.shown_url import without_credentials
from triptych.snapshots.damage_store import DamageStore
from triptych.snapshots.object_check import Repair
from triptych.snapshots.object_versions import ObjectVersions
from triptych.snapshots.stored_rows import StoredRow

URLS_MAX = 5
"""URLs that are tried for one object."""
TRIES = 4
"""Of one URL, while its host is busy or an error may pass."""
WAIT_MAX_S = 10.0
"""Seconds between two tries at most."""

log = structlog.get_logger(__name__)


class ObjectRepair:
    """Brings objects back, or fetches them again. Safe to share between tasks of one event loop.

    An earlier version that the store has kept is preferred: it costs no request to anybody else,
    and its URL may have other bytes by now. Fetching is that of every run, with its guard,
    robots.txt, pace and credentials. Bytes whose hash is another are not stored, because a
    snapshot's row means those that it had; the next run of the brand takes what the URL has now.
    """

    def __init__(
        self,
        fetcher: ItemFetcher,
        store: ObjectStore,
        damage: DamageStore,
        brands: BrandStore,
        versions: ObjectVersions | None = None,
    ) -> None:
        """``versions`` has earlier ones; None if the store keeps none."""
        self._versions = versions
        self._fetcher = fetcher
        self._brands = brands
        self._store = store
        self._damage = damage

    async def mend(self, key: str, rows: Sequence[StoredRow]) -> Repair:
        """Bring the object of a key back, or fetch it from the URLs of its rows.

        Raises:
            StoreUnavailable, DatabaseUnavailable: it could not be stored, or noted.
        """
        brought = await self._from_version(key, rows)
        if brought.repaired:
            log.warning("object_repaired", object=key)
            return brought
        says = "its key says no hash"
        places = {row.url: row for row in rows}
        for row in list(places.values())[:URLS_MAX]:
            repair = await self._from(key, row)
            if repair.repaired:
                log.warning("object_repaired", object=key)
                return repair
            says = repair.says
        return Repair(False, "; ".join(filter(None, [brought.says, says])))

    async def _from_version(self, key: str, rows: Sequence[StoredRow]) -> Repair:
        """Put the bytes of an earlier version; say nothing if there is none."""
        expected = content_hash(key)
        if self._versions is None or expected is None:
            return Repair(False, "")
        sizes = {row.size_bytes for row in rows}
        try:
            found = await self._versions.find(key, sha256=expected, sizes=sizes)
        except StoreUnavailable as error:
            # Its URL may still have it.
            log.warning("object_versions_unreadable", object=key, error=str(error))
            return Repair(False, error.message)
        if found is None:
            return Repair(False, "")
        origin = f"a version of {found.written_at:%Y-%m-%d %H:%M} UTC"
        return await self._put(key, found.body, rows[0], origin)

    async def _from(self, key: str, row: StoredRow) -> Repair:
        url, expected = without_credentials(row.url), content_hash(key)
        if expected is None:
            return Repair(False, "its key says no hash")
        try:
            body = await self._fetched(row)
        except (ItemError, Postponed) as error:
            return Repair(False, f"{url} cannot be fetched: {error}")
        if hashlib.sha256(body).digest() != expected:
            return Repair(False, f"{url} has other bytes now: left for the next run of {row.brand}")
        return await self._put(key, body, row, url)

    async def _put(self, key: str, body: bytes, row: StoredRow, origin: str) -> Repair:
        await self._store.put_as(key, body, row.media_type)
        if await self._store.flush([key]):
            return Repair(False, f"fetched from {origin}, but the disk did not take it")
        await self._damage.forget([key])
        return Repair(True, f"fetched from {origin}")

    async def _fetched(self, row: StoredRow) -> bytes:
        """Fetch a URL; wait a little where that may help."""
        for attempt in range(1, TRIES):
            try:
                return await self._once(row)
            except (ItemError, Postponed) as error:
                wait_s = _wait_s(error, attempt)
                if wait_s is None:
                    raise
                await asyncio.sleep(wait_s)
        return await self._once(row)

    async def _once(self, row: StoredRow) -> bytes:
        # What is sealed of a source belongs to it: profiles are chosen by the whole.
        source = await self._brands.whole_source(row.brand, row.source)
        with await self._fetcher.slot(row.url, source=source) as slot:
            slot.begin()
            fetched = await self._fetcher.fetch(row.url, brand=row.brand, source=source)
        assert fetched is not None  # No validators were sent.
        fetched.share.release()
        return fetched.body


def _wait_s(error: Exception, attempt: int) -> float | None:
    """Return the seconds until the next try; None if it would have the same result."""
    if isinstance(error, PermanentItemError):
        return None
    asked: float | None = getattr(error, "retry_after_s", None)
    return min(backoff(attempt, cap_s=WAIT_MAX_S) if asked is None else asked, WAIT_MAX_S)
