"""The change feed of the in-memory stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from typing_extensions import override

from triptych.runs.change_feed import ChangeFeed, Feed, News
from triptych.testing.memory_state import Listener, MemoryState


class MemoryFeed(Feed, Listener):
    """Collects changes until they are read. No change is ever missed."""

    def __init__(self) -> None:
        self._news = News()
        self._something = asyncio.Event()

    @override
    def hear(self, news: News) -> None:
        self._news.runs.update(news.runs)
        self._news.brands |= news.brands
        self._news.queues |= news.queues
        self._something.set()

    @override
    async def news(self) -> News:
        await self._something.wait()
        self._something.clear()
        found, self._news = self._news, News()
        return found


class MemoryChangeFeed(ChangeFeed):
    """`ChangeFeed` of the in-memory stores, without tasks."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    @override
    @asynccontextmanager
    async def feed(self, *, catch_up_s: float) -> AsyncIterator[Feed]:
        opened = MemoryFeed()
        with self._state.listening(opened):
            yield opened

    @override
    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[UUID]]:
        opened = MemoryFeed()
        with self._state.listening(opened):
            yield _run_ids(opened)


async def _run_ids(feed: MemoryFeed) -> AsyncIterator[UUID]:
    while True:
        for run_id in (await feed.news()).runs:
            yield run_id
