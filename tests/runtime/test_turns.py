from __future__ import annotations

import asyncio

import pytest

from triptych.runtime.turns import Turns


async def settled() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


class Workers:
    """Tasks that take turns, and the order in which they had them."""

    def __init__(self) -> None:
        self.turns: Turns[str] = Turns()
        self.begun: list[int] = []
        self.leave = [asyncio.Event() for _ in range(4)]

    async def work(self, number: int, key: str) -> None:
        async with self.turns.turn(key):
            self.begun.append(number)
            await self.leave[number].wait()

    async def start(self, number: int, key: str = "a") -> asyncio.Task[None]:
        task = asyncio.create_task(self.work(number, key))
        await settled()
        return task

    async def end(self, number: int) -> None:
        self.leave[number].set()
        await settled()


async def test_one_works_on_a_key_at_a_time_in_order() -> None:
    workers = Workers()
    tasks = [await workers.start(number) for number in range(3)]
    assert workers.begun == [0]
    await workers.end(0)
    assert workers.begun == [0, 1]
    await workers.end(1)
    await workers.end(2)
    await asyncio.gather(*tasks)
    assert workers.begun == [0, 1, 2]


async def test_other_keys_do_not_wait() -> None:
    workers = Workers()
    tasks = [await workers.start(0, "a"), await workers.start(1, "b")]
    assert workers.begun == [0, 1]
    for number in range(2):
        await workers.end(number)
    await asyncio.gather(*tasks)


async def test_an_error_ends_the_turn() -> None:
    turns: Turns[str] = Turns()
    with pytest.raises(ValueError, match="broken"):
        async with turns.turn("a"):
            raise ValueError("broken")
    async with asyncio.timeout(5), turns.turn("a"):
        pass


async def test_whoever_is_cancelled_while_waiting_is_passed_over() -> None:
    workers = Workers()
    tasks = [await workers.start(number) for number in range(3)]
    tasks[1].cancel()
    await workers.end(0)
    assert workers.begun == [0, 2]
    await workers.end(2)
    assert tasks[1].cancelled()


async def test_whoever_is_cancelled_with_the_turn_granted_passes_it_on() -> None:
    workers = Workers()
    tasks = [await workers.start(number) for number in range(3)]
    workers.leave[0].set()
    await tasks[0]  # Its turn is granted to the next, which has not run yet.
    tasks[1].cancel()
    await settled()
    assert workers.begun in ([0, 2], [0, 1, 2])
    await workers.end(2)
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(5), workers.turns.turn("a"):
        pass
