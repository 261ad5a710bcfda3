"""The indexer: a loop of every worker that keeps what is searched across brands near the snapshots.

Behind the commits, never in them: to enter an embedding costs more than to commit its asset.
"""

from __future__ import annotations

import asyncio

from triptych.runtime.periodic import run_periodically
from triptych.snapshots.search_store import SearchStore

IDLE_S = 2.0
"""Seconds between two looks for a snapshot that is not wholly searched."""
ASSETS_AT_ONCE = 200
"""Assets entered in one transaction: about half a second of the database's work."""


class Indexer:
    """Stateless: any number of workers may run one, and one of them at a time has the index."""

    def __init__(self, search: SearchStore, *, idle_s: float = IDLE_S) -> None:
        self._search = search
        self._idle_s = idle_s

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the snapshots until ``stop``, which is kept to within one transaction."""
        await run_periodically("indexer", self._index_some, stop, every_s=self._idle_s)

    async def catch_up(self) -> None:
        """Do all that is left: what a scheduled task calls where workers scale to zero.

        Raises:
            DatabaseUnavailable: the rest is for the next time.
        """
        while await self._index_some():
            pass

    async def _index_some(self) -> bool:
        return await self._search.index_some(limit=ASSETS_AT_ONCE)
