"""The live API keys, kept in memory: a flood of wrong keys asks the database once a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from triptych.access.access_store import AccessStore, ApiKey
from triptych.access.identity import digest

REFRESH_S = 5.0
"""A revoked key is refused after so long at most."""
MISS_REFRESH_S = 1.0
"""A key made a moment ago is known after so long at most."""
KEYS_MAX = 10_000


class ApiKeyCache:
    """Finds the key of a token. Its memory is bounded by ``KEYS_MAX``."""

    def __init__(self, access: AccessStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._access = access
        self._clock = clock
        self._keys: dict[bytes, ApiKey] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, token: str) -> ApiKey | None:
        """Return the live key of a token, if there is one.

        A digest is compared, never the token: timing tells nothing about a token.

        Raises:
            DatabaseUnavailable: what is known is too old, and the database is away.
        """
        wanted = digest(token)
        await self._refresh(REFRESH_S)
        if wanted not in self._keys:
            await self._refresh(MISS_REFRESH_S)
        return self._keys.get(wanted)

    async def any(self) -> bool:
        """Tell whether there is a live key."""
        await self._refresh(MISS_REFRESH_S)
        return bool(self._keys)

    async def _refresh(self, older_s: float) -> None:
        if self._clock() - self._read_at < older_s:
            return
        async with self._reading:
            if self._clock() - self._read_at < older_s:
                return  # Another request read them while this one waited.
            found = await self._access.live_keys(limit=KEYS_MAX)
            self._keys = {key.digest: key for key in found}
            self._read_at = self._clock()
