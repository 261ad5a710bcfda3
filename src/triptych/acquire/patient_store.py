"""The object store as acquiring uses it: an outage is waited out, and costs no item an attempt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

import structlog

from triptych.errors import StoreFull, StoreUnavailable, TransientItemError
from triptych.model import Reason
from triptych.objects import ObjectStore
from triptych.runtime.retry import backoff
from triptych.telemetry.metrics import STORE_AWAY

OUTAGE_BASE_S = 0.5
OUTAGE_CAP_S = 10.0
PATIENCE_S = 3600.0
"""Seconds for which one call waits. Then its message goes back to the queue: 20 deliveries, the
default limit, outlast most of a run's deadline of a day."""
REFUSALS_MAX = 3
"""Failures in a row of one call, while the store works for others, that count as an attempt."""

log = structlog.get_logger(__name__)

T = TypeVar("T")


class PatientStore:
    """Waits while the store is unavailable, holding what is to be stored. For one event loop.

    A full disk is an outage for those that it has no room for, whatever it takes from others.

    The caller's memory is bounded by what it holds, and cancelling it ends the wait at once. A
    warning is logged when an outage begins and another when it is over, however many calls wait.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._away_since: float | None = None

    async def put(self, body: bytes, sha256: bytes, media_type: str) -> str:
        """Store ``body`` unless it is there; return its key.

        Raises:
            TransientItemError: the store takes other objects, but not this one.
            StoreUnavailable: `PATIENCE_S` are over.
        """
        put = partial(self._store.put, body, sha256, media_type)
        if self._away_since is None:
            try:
                return await put()
            except StoreUnavailable:
                pass  # Tried again below, and then waited for.
        return await self._patiently(put, partial(self._store.check_room, body))

    async def get(self, key: str) -> bytes:
        """Return an object's bytes.

        Raises:
            ObjectMissing: it is not there, or is damaged.
            TransientItemError, StoreUnavailable: as `put`.
        """
        return await self._patiently(partial(self._store.get, key), self._store.check)

    async def present(self, sizes: Mapping[str, int]) -> frozenset[str]:
        """Return which keys have an object of the given size in bytes, not known to be damaged.

        Raises:
            TransientItemError, StoreUnavailable: as `put`.
        """
        return await self._patiently(partial(self._store.present, sizes), self._store.check)

    async def _patiently(
        self, call: Callable[[], Awaitable[T]], probe: Callable[[], Awaitable[None]]
    ) -> T:
        until = time.monotonic() + PATIENCE_S
        failed = refusals = 0
        while True:
            try:
                answer = await call()
            except StoreUnavailable as error:
                failed += 1
                # A disk that is full for this object may have room for others: it is not refused.
                if isinstance(error, StoreFull):
                    self._note_failure(error)
                    refusals = 0
                else:
                    refusals = refusals + 1 if await self._answers(probe, error) else 0
                if refusals == REFUSALS_MAX:
                    raise TransientItemError(Reason.STORE_FAILED, str(error)) from error
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(backoff(failed, base_s=OUTAGE_BASE_S, cap_s=OUTAGE_CAP_S))
            else:
                self._note_answer()
                return answer

    async def _answers(self, probe: Callable[[], Awaitable[None]], error: StoreUnavailable) -> bool:
        """Return whether the store works for others."""
        try:
            await probe()
        except StoreUnavailable:
            self._note_failure(error)
            return False
        self._note_answer()
        return True

    def _note_failure(self, error: StoreUnavailable) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            STORE_AWAY.set(1)
            log.warning("store_away", error=str(error))

    def _note_answer(self) -> None:
        if self._away_since is not None:
            seconds = round(time.monotonic() - self._away_since, 1)
            self._away_since = None
            STORE_AWAY.set(0)
            log.warning("store_back", away_s=seconds)
