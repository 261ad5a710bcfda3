"""Periodic work goes on after any error, at once where there is more, and ends when it is to."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from triptych.errors import DatabaseUnavailable
from triptych.runtime.periodic import pause, run_periodically

FOR_EVER_S = 1e6


async def test_errors_end_nothing_and_an_outage_is_logged_once() -> None:
    stop = asyncio.Event()
    outcomes = [DatabaseUnavailable(), DatabaseUnavailable(), ValueError("?"), None]

    async def work() -> None:
        outcome = outcomes.pop(0)
        if not outcomes:
            stop.set()
        if outcome is not None:
            raise outcome

    with capture_logs() as logged:
        await run_periodically("sweeper", work, stop, every_s=0.001)
    assert outcomes == []
    assert [(entry["event"], entry["loop"]) for entry in logged] == [
        ("loop_waits", "sweeper"),
        ("loop_failed", "sweeper"),
    ]


async def test_there_is_no_pause_while_there_is_more() -> None:
    stop = asyncio.Event()
    left = 3

    async def work() -> bool:
        nonlocal left
        left -= 1
        if not left:
            asyncio.get_running_loop().call_soon(stop.set)
        return left > 0

    async with asyncio.timeout(5):
        await run_periodically("indexer", work, stop, every_s=FOR_EVER_S)
    assert left == 0


@pytest.mark.parametrize(("pause_first", "done"), [(True, 0), (False, 1)])
async def test_stop_ends_a_pause_and_begins_no_work(pause_first: bool, done: int) -> None:
    stop = asyncio.Event()
    times = 0

    async def work() -> None:
        nonlocal times
        times += 1

    asyncio.get_running_loop().call_later(0.01, stop.set)
    async with asyncio.timeout(5):
        await run_periodically("x", work, stop, every_s=FOR_EVER_S, pause_first=pause_first)
    assert times == done


async def test_a_pause_that_nothing_ends_lasts_as_long_as_it_says() -> None:
    begun = asyncio.get_running_loop().time()
    await pause(asyncio.Event(), 0.02)
    assert asyncio.get_running_loop().time() - begun >= 0.019
