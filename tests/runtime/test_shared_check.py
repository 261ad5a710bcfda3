"""A check that many ask for: once at a time, and its outcome counts for a while."""

from __future__ import annotations

import asyncio

import pytest

from triptych.errors import Unavailable
from triptych.runtime.shared_check import SharedCheck

KEPT_S = 1.0


class Checking:
    def __init__(self, *, deadline_s: float = 30.0) -> None:
        self.now = 0.0
        self.runs = 0
        self.failure: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.check = SharedCheck(
            self._check, kept_s=KEPT_S, deadline_s=deadline_s, clock=lambda: self.now
        )

    async def _check(self) -> None:
        self.runs += 1
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def checking() -> Checking:
    return Checking()


async def test_many_who_ask_cost_one_check(checking: Checking) -> None:
    checking.go_on.clear()
    asking = [asyncio.create_task(checking.check()) for _ in range(600)]
    await asyncio.sleep(0)
    checking.go_on.set()
    await asyncio.gather(*asking)
    await checking.check()
    assert checking.runs == 1


async def test_an_outcome_counts_for_a_while_good_or_bad(checking: Checking) -> None:
    await checking.check()
    checking.failure = ValueError("away")
    checking.now += KEPT_S - 0.01
    await checking.check()
    checking.now += 0.01
    for _ in range(2):
        with pytest.raises(ValueError, match="away"):
            await checking.check()
    checking.failure = None
    checking.now += KEPT_S
    await checking.check()
    assert checking.runs == 3


async def test_one_who_goes_away_ends_nobodys_check(checking: Checking) -> None:
    checking.go_on.clear()
    leaving, staying = (asyncio.create_task(checking.check()) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    checking.go_on.set()
    await staying
    assert checking.runs == 1


async def test_a_check_that_hangs_ends_at_its_deadline() -> None:
    checking = Checking(deadline_s=0.05)
    checking.go_on.clear()
    with pytest.raises(Unavailable, match=r"longer than 0\.05 s"):
        await checking.check()
