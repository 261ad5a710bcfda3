"""Many callers, few calls; an error reaches its own batch only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from triptych.runtime.micro_batch import Batcher

LONG_S = 30.0


class Doubling:
    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.running = 0
        self.most = 0
        self.released: asyncio.Event | None = None

    async def __call__(self, values: Sequence[int]) -> Sequence[int]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self.released is not None:
                await self.released.wait()
            self.batches.append(list(values))
            if 13 in values:
                raise ValueError("unlucky")
            return [2 * value for value in values]
        finally:
            self.running -= 1


async def test_callers_share_calls_and_keep_their_answers() -> None:
    work = Doubling()
    batcher = Batcher(work, size=4, wait_s=LONG_S)
    assert await asyncio.gather(*map(batcher, range(8))) == [2 * n for n in range(8)]
    assert work.batches == [[0, 1, 2, 3], [4, 5, 6, 7]]


async def test_a_lone_caller_waits_no_longer_than_told() -> None:
    work = Doubling()
    assert await Batcher(work, size=100, wait_s=0.001)(21) == 42
    assert work.batches == [[21]]


async def test_an_error_reaches_its_own_batch_only() -> None:
    batcher = Batcher(Doubling(), size=2, wait_s=LONG_S)
    answers = await asyncio.gather(*map(batcher, [1, 13, 3, 4]), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ValueError, ValueError, int, int]


@pytest.mark.parametrize("parallel", [1, 2])
async def test_no_more_calls_at_a_time_than_allowed(parallel: int) -> None:
    work = Doubling()
    work.released = asyncio.Event()
    batcher = Batcher(work, size=1, wait_s=LONG_S, parallel=parallel)
    calls = [asyncio.create_task(batcher(value)) for value in range(6)]
    while work.running < parallel:
        await asyncio.sleep(0)
    work.released.set()
    await asyncio.gather(*calls)
    assert work.most == parallel


async def test_a_cancelled_caller_takes_nobody_along() -> None:
    work = Doubling()
    work.released = asyncio.Event()
    batcher = Batcher(work, size=2, wait_s=LONG_S)
    first, second = (asyncio.create_task(batcher(value)) for value in (1, 2))
    while not work.running:
        await asyncio.sleep(0)
    first.cancel()
    work.released.set()
    assert await second == 4


async def test_it_serves_again_after_it_has_been_idle() -> None:
    batcher = Batcher(Doubling(), size=2, wait_s=0.001)
    assert await batcher(1) == 2
    await asyncio.sleep(0)
    assert await batcher(2) == 4
