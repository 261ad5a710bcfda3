"""The local buffer: what is flushed when, and who hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from uuid import UUID, uuid4

import pytest

from triptych.acquire.buffer import Buffer
from triptych.errors import (
    DatabaseUnavailable,
    RunEnded,
    StoreUnavailable,
    TransientItemError,
)
from triptych.model import ItemResult, Reason, Staged

NEVER_S = 3600.0
PATIENCE_S = 30.0


class Objects:
    """Stands where the object store does."""

    def __init__(self) -> None:
        self.flushed: list[frozenset[str]] = []
        self.errors: list[Exception] = []
        self.lost: frozenset[str] = frozenset()

    async def flush(self, keys: Collection[str]) -> frozenset[str]:
        if self.errors:
            raise self.errors.pop(0)
        self.flushed.append(frozenset(keys))
        return self.lost & frozenset(keys)


class Flushes:
    """Stands where the registry does and writes down what it is given."""

    def __init__(self) -> None:
        self.objects = Objects()
        self.durable_before: list[list[frozenset[str]]] = []
        """Of each batch, what the object store had been asked to flush by then."""
        self.batches: list[tuple[UUID, list[bytes]]] = []
        self.errors: list[Exception] = []
        self.poison: bytes | None = None
        self.refused: frozenset[bytes] = frozenset()

    async def settle(self, run_id: UUID, results: Sequence[ItemResult]) -> frozenset[bytes]:
        if self.errors:
            raise self.errors.pop(0)
        keys = [result.key for result in results]
        if self.poison in keys:
            raise ValueError("cannot be encoded")
        self.batches.append((run_id, keys))
        self.durable_before.append(list(self.objects.flushed))
        return self.refused


@pytest.fixture
def flushes() -> Flushes:
    return Flushes()


def buffer(flushes: Flushes, *, items: int = 3, seconds: float = NEVER_S) -> Buffer:
    return Buffer(
        flushes,  # type: ignore[arg-type]
        flushes.objects,  # type: ignore[arg-type]
        flush_items=items,
        flush_s=seconds,
    )


def failed(key: bytes) -> ItemResult:
    return ItemResult(key, None, Reason.TIMEOUT)


def done(key: bytes, *, put: bool = True) -> ItemResult:
    """Return a result whose object was put, or was in the snapshot before."""
    staged = Staged(
        sha256=key,
        object_key=f"object-{key.decode()}",
        media_type="image/png",
        size_bytes=1,
        width=None,
        height=None,
        phash=None,
        embedding=None,
        model=None,
        put_at=1.0 if put else None,
    )
    return ItemResult(key, staged)


async def settled(buffer: Buffer, results: Sequence[ItemResult]) -> list[BaseException | None]:
    """Settle results of one run in one flush; return the error of each."""
    run = uuid4()

    async def one(result: ItemResult) -> None:
        async with buffer.working(run):
            await entered()
            await buffer.settle(run, result)

    return await all_of(*(asyncio.create_task(one(result)) for result in results))


async def one(buffer: Buffer, run: UUID, key: bytes, released: asyncio.Event | None = None) -> None:
    async with buffer.working(run):
        if released is not None:
            await released.wait()
        await buffer.settle(run, failed(key))


async def all_of(*work: asyncio.Task[None]) -> list[BaseException | None]:
    return await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), PATIENCE_S)


def start(
    buffer: Buffer, run: UUID, keys: str, released: asyncio.Event | None = None
) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(one(buffer, run, key.encode(), released)) for key in keys]


async def entered() -> None:
    """Let tasks that were just made run up to where they wait."""
    await asyncio.sleep(0)


async def together(buffer: Buffer, run: UUID, keys: str) -> list[BaseException | None]:
    """Hold all of them before the first is finished."""
    released = asyncio.Event()
    tasks = start(buffer, run, keys, released)
    await entered()
    released.set()
    return await all_of(*tasks)


async def test_flushes_on_size(flushes: Flushes) -> None:
    run, released = uuid4(), asyncio.Event()
    held = buffer(flushes)
    slow = start(held, run, "z", released)
    await entered()
    await together(held, run, "abc")
    assert flushes.batches == [(run, [b"a", b"b", b"c"])]
    released.set()
    await all_of(*slow)


async def test_flushes_when_nothing_of_the_run_is_left_to_wait_for(flushes: Flushes) -> None:
    run = uuid4()
    await together(buffer(flushes, items=100), run, "ab")
    assert flushes.batches == [(run, [b"a", b"b"])]


async def test_flushes_on_age(flushes: Flushes) -> None:
    run, released = uuid4(), asyncio.Event()
    held = buffer(flushes, items=100, seconds=0.01)
    slow = start(held, run, "z", released)
    await entered()
    await all_of(*start(held, run, "a"))
    assert flushes.batches == [(run, [b"a"])]
    released.set()
    await all_of(*slow)


async def test_one_run_does_not_wait_for_another(flushes: Flushes) -> None:
    first, second, released = uuid4(), uuid4(), asyncio.Event()
    held = buffer(flushes, items=100)
    slow = start(held, first, "z", released)
    await entered()
    await all_of(*start(held, second, "a"))
    assert flushes.batches == [(second, [b"a"])]
    released.set()
    await all_of(*slow)


async def test_an_item_that_leaves_unfinished_releases_its_neighbours(flushes: Flushes) -> None:
    run, released = uuid4(), asyncio.Event()
    held = buffer(flushes, items=100)
    slow = start(held, run, "z", released)
    await entered()
    waiting = start(held, run, "a")
    await entered()
    slow[0].cancel()
    await all_of(*waiting, *slow)
    assert flushes.batches == [(run, [b"a"])]


async def test_g4_an_outage_is_waited_out_and_nothing_is_lost(
    flushes: Flushes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.acquire.buffer.OUTAGE_BASE_S", 0.001)
    flushes.errors = [DatabaseUnavailable(), DatabaseUnavailable()]
    run = uuid4()
    assert await together(buffer(flushes), run, "ab") == [None, None]
    assert flushes.batches == [(run, [b"a", b"b"])]


async def test_late_results_are_acknowledged(flushes: Flushes) -> None:
    flushes.errors = [RunEnded()]
    assert await together(buffer(flushes), uuid4(), "ab") == [None, None]
    assert flushes.batches == []


async def test_one_bad_result_does_not_take_its_neighbours_along(flushes: Flushes) -> None:
    flushes.poison = b"b"
    run = uuid4()
    outcomes = await together(buffer(flushes), run, "abc")
    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]
    assert flushes.batches == [(run, [b"a"]), (run, [b"c"])]


async def test_g6_what_has_lost_its_object_is_to_be_acquired_again(flushes: Flushes) -> None:
    flushes.refused = frozenset([b"b"])
    outcomes = await together(buffer(flushes), uuid4(), "abc")
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        TransientItemError,
        type(None),
    ]


async def test_g8_an_idle_buffer_holds_nothing(flushes: Flushes) -> None:
    held = buffer(flushes)
    await all_of(*(task for _ in range(5) for task in start(held, uuid4(), "ab")))
    assert not held._runs


async def test_what_finishes_during_a_flush_makes_one_next_flush(flushes: Flushes) -> None:
    under_way, over = asyncio.Event(), asyncio.Event()
    at_once = flushes.settle

    async def slow(run_id: UUID, results: Sequence[ItemResult]) -> frozenset[bytes]:
        under_way.set()
        await over.wait()
        return await at_once(run_id, results)

    flushes.settle = slow  # type: ignore[method-assign]
    run, held = uuid4(), buffer(flushes, items=100)
    first = start(held, run, "a")
    await asyncio.wait_for(under_way.wait(), PATIENCE_S)
    rest = start(held, run, "bcd")
    await entered()
    over.set()
    await all_of(*first, *rest)
    assert flushes.batches == [(run, [b"a"]), (run, [b"b", b"c", b"d"])]


async def test_g6_new_objects_are_durable_before_the_rows_that_name_them(flushes: Flushes) -> None:
    results = [done(b"a"), done(b"b", put=False), failed(b"c"), done(b"d")]
    assert await settled(buffer(flushes, items=100), results) == [None] * 4
    assert flushes.durable_before == [[frozenset({"object-a", "object-d"})]]
    assert [keys for _, keys in flushes.batches] == [[b"a", b"b", b"c", b"d"]]


async def test_g6_what_is_not_durable_is_not_settled_and_the_others_are(flushes: Flushes) -> None:
    flushes.objects.lost = frozenset({"object-b"})
    outcomes = await settled(buffer(flushes, items=100), [done(b"a"), done(b"b"), failed(b"c")])
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        TransientItemError,
        type(None),
    ]
    assert [keys for _, keys in flushes.batches] == [[b"a", b"c"]]
    flushes.objects.lost = frozenset({"object-d"})
    (outcome,) = await settled(buffer(flushes, items=100), [done(b"d")])
    assert isinstance(outcome, TransientItemError)
    assert len(flushes.batches) == 1


async def test_g4_a_store_that_cannot_flush_is_waited_for(
    flushes: Flushes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.acquire.buffer.OUTAGE_BASE_S", 0.001)
    flushes.objects.errors = [StoreUnavailable(), StoreUnavailable()]
    assert await settled(buffer(flushes, items=100), [done(b"a")]) == [None]
    assert flushes.durable_before == [[frozenset({"object-a"})]]
