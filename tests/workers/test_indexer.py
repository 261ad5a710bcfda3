"""The indexer: goes on while there is work, waits while there is none, outlives what fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from triptych.errors import DatabaseUnavailable
from triptych.workers.indexer import ASSETS_AT_ONCE, Indexer

PATIENCE_S = 20.0


class Search:
    """Does what it is told, one answer a call; then stops the indexer."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[int] = []
        self.stop = asyncio.Event()

    async def index_some(self, *, limit: int) -> bool:
        self.calls.append(limit)
        answer = self.answers.pop(0) if self.answers else False
        if not self.answers:
            self.stop.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def run(search: Search, idle_s: float = 0.01) -> None:
    indexer = Indexer(search, idle_s=idle_s)  # type: ignore[arg-type]
    await asyncio.wait_for(indexer.run(search.stop), PATIENCE_S)


async def test_it_goes_on_without_a_pause_while_there_is_work() -> None:
    search = Search(True, True, True, False)
    await run(search, idle_s=1000)
    assert search.calls == [ASSETS_AT_ONCE] * 4


@pytest.mark.parametrize("error", [DatabaseUnavailable(), RuntimeError("a defect")])
async def test_what_fails_is_tried_again(error: Exception) -> None:
    search = Search(error, True, error, False)
    await run(search)
    assert len(search.calls) == 4


async def test_it_stops_within_one_transaction_though_there_is_more() -> None:
    search = Search(True)
    await run(search, idle_s=1000)
    assert len(search.calls) == 1


@pytest.mark.parametrize("make", [lambda: Search(True, True, False), lambda: Search(False)])
async def test_catching_up_ends_when_nothing_is_left(make: Callable[[], Search]) -> None:
    search = make()
    expected = len(search.answers)
    await asyncio.wait_for(Indexer(search).catch_up(), PATIENCE_S)  # type: ignore[arg-type]
    assert len(search.calls) == expected
