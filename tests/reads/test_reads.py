"""Where an immediate read is answered: of MongoDB if that has it, and else of Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from tests.support.waiting import until_true
from triptych.errors import AssetNotFound, BrandNotFound, ReadsUnavailable, SearchUnavailable
from triptych.reads import reads
from triptych.reads.availability import DOWN_S
from triptych.reads.behind import Lag
from triptych.reads.read_stores import NotProjected, ReadStores
from triptych.reads.reads import LISTS_LAG_MAX_S, Answer, Projected, Reads
from triptych.telemetry.metrics import REGISTRY

NIKE = frozenset({"nike"})


class Store:
    """The brands of one database: each has a snapshot, or asking for it raises something."""

    def __init__(self) -> None:
        self.found: dict[str, UUID | Exception] = {}
        self.error: Exception | None = None
        self.hangs = False
        self.asked: list[str] = []

    async def snapshot_of(self, brand: str) -> UUID | None:
        self.asked.append(brand)
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        found = self.found.get(brand, NotProjected())
        if isinstance(found, Exception):
            raise found
        return found

    def stores(self) -> ReadStores:
        none = cast("Any", None)
        return ReadStores(cast("Any", self), none, none, none, none)


class World:
    """Two databases with a brand each of the same name, and how far the second is behind."""

    def __init__(self) -> None:
        self.now = 100.0
        self.postgres, self.mongodb = Store(), Store()
        self.postgres.found["nike"], self.mongodb.found["nike"] = uuid4(), uuid4()
        self.lag: Lag | None = Lag({})
        self.reads = Reads(
            self.postgres.stores(),
            Projected(self.mongodb.stores(), self._behind),
            clock=lambda: self.now,
        )

    async def _behind(self) -> Lag | None:
        return self.lag

    async def answer(self, *, fresh: bool = False, brand: str = "nike") -> Answer[UUID | None]:
        brands = frozenset({brand})
        return await self.reads.answer(snapshot(brand), brands=brands, fresh=fresh)


def snapshot(brand: str) -> Callable[[ReadStores], Awaitable[UUID | None]]:
    async def work(stores: ReadStores) -> UUID | None:
        return await stores.brands.snapshot_of(brand)

    return work


def counted(source: str, reason: str) -> float:
    labels = {"source": source, "reason": reason}
    return REGISTRY.get_sample_value("triptych_reads_total", labels) or 0.0


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.reads.close()


async def test_without_a_projection_postgres_answers() -> None:
    postgres = Store()
    postgres.found["nike"] = uuid4()
    alone = Reads(postgres.stores())
    before = counted("postgres", "off")
    answer = await alone.answer(snapshot("nike"), brands=NIKE)
    assert answer == Answer(postgres.found["nike"], "postgres", 0.0)
    assert counted("postgres", "off") == before + 1
    assert await alone.lag() is None
    await alone.close()


async def test_what_is_projected_is_read_from_mongodb_alone(world: World) -> None:
    before = counted("mongodb", "projected")
    assert await world.answer() == Answer(world.mongodb.found["nike"], "mongodb", 0.0)
    assert world.postgres.asked == []
    assert counted("mongodb", "projected") == before + 1


async def test_who_wants_it_fresh_gets_it_from_postgres(world: World) -> None:
    before = counted("postgres", "fresh")
    assert await world.answer(fresh=True) == Answer(world.postgres.found["nike"], "postgres", 0.0)
    assert world.mongodb.asked == []
    assert counted("postgres", "fresh") == before + 1


@pytest.mark.parametrize("error", [NotProjected, AssetNotFound, BrandNotFound])
async def test_a_no_of_mongodb_is_not_believed(world: World, error: type[Exception]) -> None:
    world.mongodb.found["nike"] = error()
    before = counted("postgres", "not_projected")
    assert await world.answer() == Answer(world.postgres.found["nike"], "postgres", 0.0)
    assert counted("postgres", "not_projected") == before + 1
    world.postgres.found["nike"] = BrandNotFound()
    with pytest.raises(BrandNotFound):
        await world.answer()
    assert world.mongodb.asked == ["nike"] * 2, "it is not taken for away"


async def test_what_mongodb_is_too_slow_for_is_asked_of_postgres(world: World) -> None:
    world.mongodb.found["nike"] = SearchUnavailable()
    before = counted("postgres", "unavailable")
    assert await world.answer() == Answer(world.postgres.found["nike"], "postgres", 0.0)
    assert await world.answer() == Answer(world.postgres.found["nike"], "postgres", 0.0)
    assert counted("postgres", "unavailable") == before + 2
    assert world.mongodb.asked == ["nike"] * 2, "it is not taken for away"


async def test_an_answer_comes_of_one_database_from_beginning_to_end(world: World) -> None:
    world.mongodb.found["puma"] = NotProjected()
    world.postgres.found["puma"] = uuid4()

    async def both(stores: ReadStores) -> list[UUID | None]:
        return [await stores.brands.snapshot_of(name) for name in ("nike", "puma")]

    answer = await world.reads.answer(both, brands=frozenset({"nike", "puma"}))
    assert answer.value == [world.postgres.found["nike"], world.postgres.found["puma"]]


async def test_nobody_waits_for_a_mongodb_that_is_away(world: World) -> None:
    world.mongodb.error = ReadsUnavailable()
    before = counted("postgres", "unavailable")
    for _ in range(5):
        assert (await world.answer()).source == "postgres"
    assert world.mongodb.asked == ["nike"]
    assert counted("postgres", "unavailable") == before + 5
    world.mongodb.error = None
    assert (await world.answer()).source == "postgres"
    world.now += DOWN_S
    assert (await world.answer()).source == "postgres", "a probe looks, and no request waits"
    await until_true(lambda: len(world.mongodb.asked) == 2, patience_s=5)
    await until_true(lambda: world.reads._availability.asked(), patience_s=5)
    assert (await world.answer()).source == "mongodb"
    assert world.mongodb.asked == ["nike", "", "nike"]


async def test_a_mongodb_that_hangs_costs_its_deadline_once(world: World) -> None:
    world.mongodb.hangs = True
    async with asyncio.timeout(5):
        hanging = await world.reads.answer(snapshot("nike"), brands=NIKE, within_s=0.05)
        assert hanging.source == "postgres"
        for _ in range(5):
            assert (await world.answer()).source == "postgres"
    await until_true(lambda: world.mongodb.asked == ["nike", ""], patience_s=5)
    assert (await world.answer()).source == "postgres", "one probe at a time"
    assert len(world.mongodb.asked) == 2


async def test_one_slow_question_does_not_keep_mongodb_away_for_long(world: World) -> None:
    async def slow(stores: ReadStores) -> UUID | None:
        if stores.brands is cast("Any", world.mongodb):
            await asyncio.Event().wait()
        return await stores.brands.snapshot_of("nike")

    assert (await world.reads.answer(slow, brands=NIKE, within_s=0.02)).source == "postgres"
    await world.answer()
    await until_true(lambda: world.reads._availability.asked(), patience_s=5)
    assert (await world.answer()).source == "mongodb"


async def test_a_brand_that_is_gone_is_not_read_from_mongodb(world: World) -> None:
    world.lag = Lag({"nike": None})
    world.postgres.found["nike"] = BrandNotFound()
    with pytest.raises(BrandNotFound):
        await world.answer()
    world.mongodb.found["puma"] = uuid4()
    assert (await world.answer(brand="puma")).source == "mongodb"
    world.postgres.found["puma"] = uuid4()
    of_all = await world.reads.answer(snapshot("puma"), brands=None)
    assert of_all.source == "postgres", "a list of all brands would have it"


async def test_the_lag_is_that_of_what_was_read(world: World) -> None:
    world.lag = Lag({"nike": 4.5, "puma": 9.0})
    world.mongodb.found["asics"] = uuid4()
    assert (await world.answer()).lag_s == 4.5
    assert (await world.answer(brand="asics")).lag_s == 0.0
    assert (await world.reads.answer(snapshot("nike"), brands=None)).lag_s == 9.0
    assert await world.reads.lag() == world.lag
    assert (await world.answer(fresh=True)).lag_s == 0.0


@pytest.mark.parametrize(
    ("brands", "source"),
    [(None, "postgres"), (frozenset({"nike", "puma"}), "postgres"), (NIKE, "mongodb")],
    ids=["all", "two", "one"],
)
async def test_a_list_may_lack_brands_that_are_far_behind(
    world: World, brands: frozenset[str] | None, source: str
) -> None:
    world.lag = Lag({"nike": LISTS_LAG_MAX_S})
    assert (await world.reads.answer(snapshot("nike"), brands=brands)).source == "mongodb"
    world.lag = Lag({"nike": LISTS_LAG_MAX_S + 1})
    assert (await world.reads.answer(snapshot("nike"), brands=brands)).source == source


async def test_mongodb_answers_while_postgres_does_not_say_how_far_it_is(world: World) -> None:
    world.lag = None
    assert await world.answer() == Answer(world.mongodb.found["nike"], "mongodb", None)
    assert world.postgres.asked == []


async def test_a_defect_is_not_taken_for_an_outage(world: World) -> None:
    world.mongodb.error = LookupError("a field")
    with pytest.raises(LookupError):
        await world.answer()
    world.mongodb.error = TimeoutError("not ours")
    with pytest.raises(TimeoutError, match="not ours"):
        await world.answer()
    world.mongodb.error = None
    assert (await world.answer()).source == "mongodb"


async def test_who_goes_away_takes_mongodb_from_nobody(world: World) -> None:
    world.mongodb.hangs = True
    asking = asyncio.create_task(world.answer())
    await until_true(lambda: world.mongodb.asked == ["nike"], patience_s=5)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert world.postgres.asked == []
    world.mongodb.hangs = False
    assert (await world.answer()).source == "mongodb"


def test_a_request_that_waited_in_vain_is_answered_within_a_proxys_patience() -> None:
    assert reads.ANSWER_S <= DOWN_S
