"""The foreground ends with the background's error, and with nothing else."""

from __future__ import annotations

import asyncio

import pytest

from triptych.runtime.cancellation import cancel_on_failure

LONG_S = 60.0


async def fail(error: Exception) -> None:
    raise error


async def group(error: Exception) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail(error))


@pytest.mark.parametrize("wrap", [fail, group])
async def test_the_error_takes_the_place_of_the_cancellation(wrap) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="broken"):
        async with cancel_on_failure(asyncio.create_task(wrap(ValueError("broken")))):
            await asyncio.sleep(LONG_S)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_work_that_ends_well_interrupts_nothing() -> None:
    work = asyncio.create_task(asyncio.sleep(0))
    async with cancel_on_failure(work):
        await work
        await asyncio.sleep(0)


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def body() -> None:
        async with cancel_on_failure(asyncio.create_task(asyncio.sleep(LONG_S))):
            await asyncio.sleep(LONG_S)

    task = asyncio.create_task(body())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_bodys_own_error_is_its_own() -> None:
    with pytest.raises(KeyError):
        async with cancel_on_failure(asyncio.create_task(asyncio.sleep(LONG_S))):
            raise KeyError
