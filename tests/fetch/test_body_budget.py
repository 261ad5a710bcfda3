"""G8: the budget of bytes for bodies: kept, fair, and never a dead stop."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.errors import SettingsError
from triptych.fetch.body_budget import FIRST_BYTES, BodyBudget

CAP = 4 * FIRST_BYTES
BODIES = 5
LEAST = CAP + BODIES * FIRST_BYTES
PATIENCE_S = 60.0


def budget(size: int = LEAST) -> BodyBudget:
    return BodyBudget(size, cap=CAP, bodies=BODIES)


def narrow() -> BodyBudget:
    """Return a budget that two whole bodies do not fit into."""
    return BodyBudget(CAP + FIRST_BYTES, cap=CAP, bodies=1)


def test_what_could_come_to_stand_still_is_refused() -> None:
    with pytest.raises(SettingsError, match="TRIPTYCH_FETCH_MEMORY_BYTES") as error:
        budget(LEAST - 1)
    assert str(LEAST) in str(error.value)
    assert budget().held == 0


async def test_a_declared_body_is_held_whole_before_it_is_read() -> None:
    made = budget()
    share = made.share()
    await share.declare(1000)
    assert made.held == 1000
    await share.hold(1000)
    share.settle(900)
    assert made.held == 900
    share.release()
    share.release()
    assert made.held == 0


async def test_an_undeclared_body_begins_small_and_takes_the_cap_in_one_step() -> None:
    made = budget()
    share = made.share()
    await share.declare(None)
    await share.hold(FIRST_BYTES)
    assert made.held == FIRST_BYTES
    await share.hold(FIRST_BYTES + 1)
    assert made.held == CAP
    share.release()


async def test_who_waits_is_served_in_order_and_who_gives_up_takes_nothing() -> None:
    made = narrow()
    first = made.share()
    await first.declare(CAP)
    shares = [made.share() for _ in range(3)]
    big, given_up, small = (
        asyncio.create_task(share.declare(size))
        for share, size in zip(shares, (CAP, CAP, 1), strict=True)
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [task.done() for task in (big, given_up, small)] == [False] * 3, "none overtakes"
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    first.release()
    await asyncio.wait_for(asyncio.gather(big, small), PATIENCE_S)
    assert made.held == CAP + 1
    for share in shares:
        share.release()
    assert made.held == 0


async def test_who_gives_up_at_its_turn_gives_it_on() -> None:
    made = narrow()
    first, second, third = (made.share() for _ in range(3))
    await first.declare(CAP)
    waiting = asyncio.create_task(second.declare(CAP))
    after = asyncio.create_task(third.declare(CAP))
    await asyncio.sleep(0)
    first.release()
    waiting.cancel()
    await asyncio.wait([waiting])
    await asyncio.wait_for(after, PATIENCE_S)
    assert waiting.cancelled()
    assert made.held == CAP
    third.release()
    assert made.held == 0


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(1, CAP), st.booleans(), st.booleans()), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
)
def test_any_bodies_get_through_and_the_budget_is_kept(
    bodies: list[tuple[int, bool, bool]], rng: random.Random
) -> None:
    """Whatever their sizes, declared or not, some cancelled in the middle."""

    async def one(
        made: BodyBudget, places: asyncio.Semaphore, body: tuple[int, bool, bool]
    ) -> None:
        size, declared, _ = body
        async with places:
            share = made.share()
            try:
                await share.declare(size if declared else None)
                read = 0
                while read < size:
                    read = min(size, read + rng.randint(1, CAP // 3))
                    await share.hold(read)
                    assert made.held <= LEAST
                    await asyncio.sleep(0)
                share.settle(size)
                await asyncio.sleep(0)
            finally:
                share.release()

    async def all_of_them() -> None:
        made, places = budget(), asyncio.Semaphore(BODIES)
        tasks = [asyncio.create_task(one(made, places, body)) for body in bodies]
        for _ in range(rng.randint(0, 20)):
            await asyncio.sleep(0)
        for task, (_, _, cancelled) in zip(tasks, bodies, strict=True):
            if cancelled:
                task.cancel()
        async with asyncio.timeout(PATIENCE_S):
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends)
        assert made.held == 0

    asyncio.run(all_of_them())
