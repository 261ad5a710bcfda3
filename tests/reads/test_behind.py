"""How far a projection is behind: asked seldom, and known for no longer than it is true."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from triptych.errors import DatabaseUnavailable
from triptych.reads import behind
from triptych.reads.behind import LAG_DEADLINE_S, LAG_KEPT_S, SILENCE_S, Behind, Lag


class Postgres:
    """Answers how far brands are behind, or does not."""

    def __init__(self) -> None:
        self.seconds: Mapping[str, float | None] = {"nike": 4.5}
        self.asked = 0
        self.away = False
        self.hangs = False
        self.now = 100.0

    async def behind(self) -> Mapping[str, float | None]:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise DatabaseUnavailable
        await asyncio.sleep(0)
        return self.seconds

    def clock(self) -> float:
        return self.now


@pytest.fixture
def postgres() -> Postgres:
    return Postgres()


@pytest.fixture
def asking(postgres: Postgres) -> Behind:
    return Behind(postgres.behind, clock=postgres.clock)


async def test_a_hundred_requests_are_one_question(postgres: Postgres, asking: Behind) -> None:
    found = await asyncio.gather(*(asking() for _ in range(100)))
    assert {id(each) for each in found} == {id(found[0])}
    assert found[0] == Lag({"nike": 4.5})
    assert postgres.asked == 1
    postgres.now += LAG_KEPT_S - 0.01
    await asking()
    assert postgres.asked == 1
    postgres.seconds = {}
    postgres.now += 0.01
    assert await asking() == Lag({})
    assert postgres.asked == 2


async def test_nothing_is_asked_while_nobody_reads(postgres: Postgres, asking: Behind) -> None:
    await asking()
    postgres.now += 100 * LAG_KEPT_S
    await asyncio.sleep(0)
    assert postgres.asked == 1


async def test_an_outage_makes_the_lag_unknown_and_is_said_once(
    postgres: Postgres, asking: Behind
) -> None:
    await asking()
    postgres.away = True
    postgres.now += LAG_KEPT_S
    with capture_logs() as logs:
        assert await asyncio.gather(*(asking() for _ in range(10))) == [None] * 10
        postgres.now += SILENCE_S - 0.01
        assert await asking() is None
    assert [line["event"] for line in logs] == ["reads_lag_unknown"]
    assert postgres.asked == 2
    postgres.away = False
    postgres.now += 0.01
    assert await asking() == Lag({"nike": 4.5})


async def test_a_database_that_hangs_costs_its_deadline_once(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "LAG_DEADLINE_S", 0.05)
    asking = Behind(postgres.behind, clock=postgres.clock)
    postgres.hangs = True
    async with asyncio.timeout(5):
        assert await asking() is None
    assert await asking() is None
    assert postgres.asked == 1


async def test_who_stops_waiting_takes_the_answer_from_nobody(
    postgres: Postgres, asking: Behind
) -> None:
    first, second = asyncio.create_task(asking()), asyncio.create_task(asking())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == Lag({"nike": 4.5})
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_defect_is_not_taken_for_an_outage() -> None:
    async def broken() -> Mapping[str, float | None]:
        raise LookupError("a column")

    with pytest.raises(LookupError, match="a column"):
        await Behind(broken)()


@pytest.mark.parametrize(
    ("brands", "seconds", "may_read"),
    [
        (None, 9.0, False),
        (frozenset({"nike"}), 4.5, True),
        (frozenset({"nike", "puma"}), 9.0, True),
        (frozenset({"gone"}), 0.0, False),
        (frozenset({"nike", "gone"}), 4.5, False),
        (frozenset({"asics"}), 0.0, True),
        (frozenset(), 0.0, True),
    ],
    ids=["all", "one", "two", "gone", "one-of-two-gone", "not-behind", "none"],
)
def test_of_several_brands_the_furthest_behind_counts(
    brands: frozenset[str] | None, seconds: float, may_read: bool
) -> None:
    lag = Lag({"nike": 4.5, "puma": 9.0, "gone": None})
    assert (lag.of(brands), lag.may_read(brands)) == (seconds, may_read)


def test_an_answer_is_there_before_it_no_longer_counts() -> None:
    assert LAG_DEADLINE_S < LAG_KEPT_S <= SILENCE_S
