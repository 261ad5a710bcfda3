"""The loop of a notebook's client: it waits, and it closes what is left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError

import pytest

from triptych.client.notebook.event_loop import EventLoop


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


async def test_it_works_where_a_loop_runs_as_in_a_notebook(loop: EventLoop) -> None:
    assert asyncio.get_running_loop().is_running()
    assert loop.wait(asyncio.sleep(0, 7)) == 7


def test_an_iteration_that_is_left_is_closed(loop: EventLoop) -> None:
    closed = threading.Event()

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(1000):
                yield number
        finally:
            closed.set()

    values = loop.each(numbers())
    assert [next(values), next(values)] == [0, 1]
    assert not closed.is_set()
    values.close()  # type: ignore[attr-defined]
    assert closed.is_set()
    assert list(loop.each(numbers())) == list(range(1000))


def test_errors_are_the_callers(loop: EventLoop) -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        loop.wait(fail())


def test_what_runs_is_cancelled_when_it_is_closed() -> None:
    loop = EventLoop()
    cancelled = threading.Event()
    begun = threading.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    seen: list[str] = []

    def caller() -> None:
        try:
            loop.wait(wait())
        except CancelledError:
            seen.append("cancelled")

    thread = threading.Thread(target=caller)
    thread.start()
    assert begun.wait(10)
    loop.close()
    thread.join(10)
    assert (cancelled.is_set(), seen) == (True, ["cancelled"])
    with pytest.raises(RuntimeError, match="is closed"):
        loop.wait(asyncio.sleep(0))
