"""Repairing damaged or lost objects: their URLs are fetched again, and only their bytes are put."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import structlog

from triptych.errors import ItemError, PermanentItemError, Postponed
from triptych.fetch.fetcher import Fetcher
from triptych.objects import ObjectStore, content_hash
from triptych.runs.brand_store import BrandStore
from triptych.runtime.retry import backoff
from triptych.shown_url import without_credentials
from triptych.snapshots.damage_store import DamageStore
from triptych.snapshots.object_check import Repair
from triptych.snapshots.stored_rows import StoredRow

URLS_MAX = 5
"""URLs that are tried for one object."""
TRIES = 4
"""Of one URL, while its host is busy or an error may pass."""
WAIT_MAX_S = 10.0
"""Seconds between two tries at most."""

log = structlog.get_logger(__name__)


class ObjectRepair:
    """Fetches objects again. Safe to share between tasks of one event loop.

    Fetching is that of every run, with its guard, robots.txt, pace and credentials. Bytes whose
    hash is another are not stored, because a snapshot's row means those that it had; the next run
    of the brand takes what the URL has now.
    """

    def __init__(
        self, fetcher: Fetcher, store: ObjectStore, damage: DamageStore, brands: BrandStore
    ) -> None:
        self._fetcher = fetcher
        self._brands = brands
        self._store = store
        self._damage = damage

    async def mend(self, key: str, rows: Sequence[StoredRow]) -> Repair:
        """Fetch the object of a key from the URLs of its rows.

        Raises:
            StoreUnavailable, DatabaseUnavailable: it could not be stored, or noted.
        """
        says = "its key says no hash"
        places = {row.url: row for row in rows}
        for row in list(places.values())[:URLS_MAX]:
            repair = await self._from(key, row)
            if repair.repaired:
                log.warning("object_repaired", object=key)
                return repair
            says = repair.says
        return Repair(False, says)

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
        await self._store.put_as(key, body, row.media_type)
        if await self._store.flush([key]):
            return Repair(False, f"fetched from {url}, but the disk did not take it")
        await self._damage.forget([key])
        return Repair(True, f"fetched from {url}")

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
            fetched = await self._fetcher.fetch(row.url, source=source)
        assert fetched is not None  # No validators were sent.
        fetched.share.release()
        return fetched.body


def _wait_s(error: Exception, attempt: int) -> float | None:
    """Return the seconds until the next try; None if it would have the same result."""
    if isinstance(error, PermanentItemError):
        return None
    asked: float | None = getattr(error, "retry_after_s", None)
    return min(backoff(attempt, cap_s=WAIT_MAX_S) if asked is None else asked, WAIT_MAX_S)
