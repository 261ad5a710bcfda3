"""The indexer: a loop in every worker that keeps the index of all brands close to the snapshots.

It runs after the commits, never within them: indexing an embedding costs more than committing its
asset.
"""

from __future__ import annotations

import asyncio

from triptych.runtime.periodic import run_periodically
from triptych.snapshots.search_store import SearchStore

IDLE_S = 2.0
"""Seconds between two checks for a snapshot that is not fully indexed."""
ASSETS_AT_ONCE = 200
"""Assets indexed in one transaction: about half a second of work for the database."""


class Indexer:
    """Stateless: any number of workers may run one, and one of them at a time updates the index."""

    def __init__(self, search: SearchStore, *, idle_s: float = IDLE_S) -> None:
        self._search = search
        self._idle_s = idle_s

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the snapshots until ``stop``; then end within one transaction."""
        await run_periodically("indexer", self._index_some, stop, every_s=self._idle_s)

    async def catch_up(self) -> None:
        """Index all that is left. A scheduled task calls this where workers scale to zero.

        Raises:
            DatabaseUnavailable: the next call does the rest.
        """
        while await self._index_some():
            pass

    async def _index_some(self) -> bool:
        return await self._search.index_some(limit=ASSETS_AT_ONCE)
