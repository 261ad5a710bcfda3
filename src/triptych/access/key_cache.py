"""A cache of the live API keys: a flood of wrong keys queries the database once a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from triptych.access.access_store import AccessStore, ApiKey
from triptych.access.identity import digest

REFRESH_S = 5.0
"""Longest time until a revoked key is refused."""
MISS_REFRESH_S = 1.0
"""Longest time until a new key is accepted."""
KEYS_MAX = 10_000


class ApiKeyCache:
    """Finds the key of a token. Memory is bounded by ``KEYS_MAX``."""

    def __init__(self, access: AccessStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = access
        self._clock = clock
        self._keys: dict[bytes, ApiKey] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, token: str) -> ApiKey | None:
        """Return the key of a token, if there is one and it was not revoked; it may have expired.

        Digests are compared, never tokens, so timing reveals nothing about a token.

        Raises:
            DatabaseUnavailable: the cache is too old, and the database is unavailable.
        """
        wanted = digest(token)
        await self._refresh(REFRESH_S)
        if wanted not in self._keys:
            await self._refresh(MISS_REFRESH_S)
        return self._keys.get(wanted)

    async def any(self) -> bool:
        """Return whether there is a key that was not revoked.

        One that has expired counts: a server does not open because its last key expired.
        """
        await self._refresh(MISS_REFRESH_S)
        return bool(self._keys)

    async def _refresh(self, older_s: float) -> None:
        if self._clock() - self._read_at < older_s:
            return
        async with self._reading:
            if self._clock() - self._read_at < older_s:
                return  # Another request refreshed the cache while this one waited.
            found = await self._access.live_keys(limit=KEYS_MAX)
            self._keys = {key.digest: key for key in found}
            self._read_at = self._clock()
