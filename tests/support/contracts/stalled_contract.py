"""When a run is stalled: what every `RunStore` must say of it.

A subclass gives the fixtures ``stores`` and ``pass_time``, which lets seconds pass in which nothing
happens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import pytest

from tests.support.contracts.stores_contract import (
    LIMIT,
    CommonStores,
    committed,
    done,
    new_items,
    open_run,
)
from triptych.messages import Phase
from triptych.model import Item, RunState
from triptych.runs.run_filter import RunFilter
from triptych.runs.run_store import PutOff

PassTime = Callable[[float], Awaitable[None]]

AFTER_S = 600.0
LONG_S = 2 * AFTER_S
SHORT_S = AFTER_S / 4
RUNS_MAX = 100


async def look(stores: CommonStores, *, limit: int = RUNS_MAX) -> Sequence[UUID]:
    return await stores.runs.mark_stalled(after_s=AFTER_S, limit=limit)


async def is_stalled(stores: CommonStores, run_id: UUID) -> bool:
    """Look; return what every way of reading the run says of it, which is the same."""
    await look(stores)
    run = await stores.runs.run(run_id)
    pages = [
        await stores.runs.runs_slice(
            RunFilter(brand=brand, states=states, stalled=True), before=None, limit=9
        )
        for brand in (None, run.brand)
        for states in (frozenset[RunState](), frozenset({RunState.ACTIVE}))
    ]
    told = {any(row.id == run_id for row in page.rows) for page in pages}
    (newest,) = (
        await stores.runs.runs_slice(RunFilter(brand=run.brand), before=None, limit=1)
    ).rows
    (found,) = await stores.runs.runs_of([run_id])
    latest = (await stores.brands.brand(run.brand)).latest
    assert latest is not None
    told |= {newest.stalled, found.stalled, latest.stalled}
    told.add((await stores.runs.counts()).stalled > 0)
    assert told == {run.stalled}
    return run.stalled


class StalledContract:
    """One definition; whatever reads a run says the same."""

    @pytest.fixture
    async def run_id(self, stores: CommonStores) -> UUID:
        return (await open_run(stores)).run.id

    @pytest.fixture
    async def items(self, stores: CommonStores, run_id: UUID) -> Sequence[Item]:
        """Two items that were sent, of a run that is listed in full."""
        sent = await stores.runs.expect(run_id, new_items(2), cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        return sent

    async def test_a_run_that_nobody_gathers(
        self, stores: CommonStores, run_id: UUID, pass_time: PassTime
    ) -> None:
        assert not await is_stalled(stores, run_id)
        await pass_time(LONG_S)
        assert await is_stalled(stores, run_id)

    async def test_items_that_nobody_works_on(
        self, stores: CommonStores, run_id: UUID, items: Sequence[Item], pass_time: PassTime
    ) -> None:
        await pass_time(SHORT_S)
        assert not await is_stalled(stores, run_id)
        await pass_time(LONG_S)
        assert await is_stalled(stores, run_id)
        assert len(items) == 2

    async def test_what_waits_for_a_paused_phase_is_not_stalled(
        self, stores: CommonStores, run_id: UUID, pass_time: PassTime
    ) -> None:
        async def look_while(*paused: Phase) -> Sequence[UUID]:
            return await stores.runs.mark_stalled(after_s=AFTER_S, limit=9, held_up=paused)

        await pass_time(LONG_S)
        assert await look_while(Phase.GATHER) == [], "it waits to be gathered"
        assert await look_while(Phase.ACQUIRE, Phase.AI) == [run_id], "these do not hold it up"
        assert await look_while(Phase.GATHER) == [run_id]
        assert not (await stores.runs.run(run_id)).stalled, "the note is taken away"
        await stores.runs.expect(run_id, new_items(2), cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        await pass_time(LONG_S)
        assert await look_while(Phase.ACQUIRE) == [], "its items wait to be acquired"
        assert await look_while(Phase.GATHER) == [run_id]

    async def test_a_complete_run_that_nobody_commits(
        self, stores: CommonStores, run_id: UUID, items: Sequence[Item], pass_time: PassTime
    ) -> None:
        await stores.runs.settle(run_id, [done(item) for item in items], limit=LIMIT)
        await pass_time(LONG_S)
        assert await is_stalled(stores, run_id)
        await stores.runs.commit(run_id)
        assert not await is_stalled(stores, run_id)

    async def test_progress_ends_it_without_a_look(
        self, stores: CommonStores, run_id: UUID, items: Sequence[Item], pass_time: PassTime
    ) -> None:
        await pass_time(LONG_S)
        assert await look(stores) == [run_id]
        settlement = await stores.runs.settle(run_id, [done(items[0])], limit=LIMIT)
        assert not settlement.run.stalled
        assert not (await stores.runs.run(run_id)).stalled

    async def test_a_gathered_page_ends_it(
        self, stores: CommonStores, run_id: UUID, pass_time: PassTime
    ) -> None:
        await pass_time(LONG_S)
        assert await is_stalled(stores, run_id)
        await stores.runs.expect(run_id, new_items(1), cursor="1", limit=LIMIT)
        assert not await is_stalled(stores, run_id)

    async def test_a_counted_attempt_is_progress(
        self, stores: CommonStores, run_id: UUID, items: Sequence[Item], pass_time: PassTime
    ) -> None:
        await pass_time(LONG_S)
        assert await is_stalled(stores, run_id)
        await stores.runs.count_attempt(run_id, items[0].key, seen=0, delay_s=1)
        assert not await is_stalled(stores, run_id), "although the other item does not move"
        await pass_time(LONG_S)
        assert await is_stalled(stores, run_id), "its retry is long overdue"

    async def test_the_last_attempt_is_told_until_its_item_settles(
        self, stores: CommonStores, run_id: UUID, items: Sequence[Item]
    ) -> None:
        assert (await stores.runs.pace(run_id)).last_try is None
        for number, item in enumerate(items):
            await stores.runs.count_attempt(
                run_id, item.key, seen=0, delay_s=60 + number, detail=f"HTTP 50{number}"
            )
        told = (await stores.runs.pace(run_id)).last_try
        assert told is not None
        assert (told.attempts, told.detail, told.host) == (1, "HTTP 501", None)
        assert told.tried_at is not None
        assert told.due_at > told.tried_at
        await stores.runs.settle(run_id, [done(items[1])], limit=LIMIT)
        left = (await stores.runs.pace(run_id)).last_try
        assert left is not None
        assert left.detail == "HTTP 500"
        await stores.runs.cancel(run_id)
        assert (await stores.runs.pace(run_id)).last_try is None

    async def test_an_attempt_that_another_copy_counted_is_none(
        self, stores: CommonStores, run_id: UUID, items: Sequence[Item], pass_time: PassTime
    ) -> None:
        await pass_time(LONG_S)
        await stores.runs.count_attempt(run_id, items[0].key, seen=5, delay_s=1)
        assert await is_stalled(stores, run_id)

    async def test_all_items_wait_for_a_known_time(
        self, stores: CommonStores, run_id: UUID, items: Sequence[Item], pass_time: PassTime
    ) -> None:
        far = [PutOff(items[0].key, 3 * LONG_S, "https://x"), PutOff(items[1].key, 3 * LONG_S)]
        await stores.runs.put_off(run_id, far)
        await pass_time(LONG_S)
        assert not await is_stalled(stores, run_id)
        await pass_time(2 * LONG_S + SHORT_S)
        assert not await is_stalled(stores, run_id), "they were due a moment ago"
        await pass_time(LONG_S)
        assert await is_stalled(stores, run_id)

    async def test_one_that_waits_does_not_hide_one_that_does_not_move(
        self, stores: CommonStores, run_id: UUID, items: Sequence[Item], pass_time: PassTime
    ) -> None:
        await stores.runs.count_attempt(run_id, items[0].key, seen=0, delay_s=3 * LONG_S)
        await pass_time(LONG_S)
        assert await is_stalled(stores, run_id)

    async def test_sending_again_is_no_progress(
        self, stores: CommonStores, run_id: UUID, items: Sequence[Item], pass_time: PassTime
    ) -> None:
        await pass_time(LONG_S)
        sent = await stores.runs.claim_resend(run_id, interval_s=1, limit=LIMIT)
        assert len(sent) == len(items)
        assert await is_stalled(stores, run_id)

    async def test_paused_it_is_not_and_resumed_it_has_moved(
        self, stores: CommonStores, run_id: UUID, pass_time: PassTime
    ) -> None:
        await pass_time(LONG_S)
        assert await is_stalled(stores, run_id)
        paused = await stores.runs.pause(run_id, paused=True)
        assert not paused.stalled
        await pass_time(LONG_S)
        assert not await is_stalled(stores, run_id)
        await stores.runs.pause(run_id, paused=False)
        assert not await is_stalled(stores, run_id)

    async def test_what_has_ended_never_is(self, stores: CommonStores, pass_time: PassTime) -> None:
        ended = [await committed(stores), await committed(stores, brand="adidas")]
        cancelled = (await open_run(stores)).run.id
        await pass_time(LONG_S)
        assert await is_stalled(stores, cancelled)
        await stores.runs.cancel(cancelled)
        await pass_time(LONG_S)
        for run_id in (cancelled, *(run.id for run in ended)):
            assert not (await stores.runs.run(run_id)).stalled
        assert await look(stores) == []

    async def test_the_note_is_a_new_version_once_and_in_the_timeline(
        self, stores: CommonStores, run_id: UUID, pass_time: PassTime
    ) -> None:
        await pass_time(LONG_S)
        before = await stores.runs.run(run_id)
        assert (await look(stores), await look(stores)) == ([run_id], [])
        after = await stores.runs.run(run_id)
        assert after.version > before.version
        assert after.progressed_at == before.progressed_at
        events = await stores.runs.timeline(run_id, after=before.seq, limit=9)
        assert [event.kind for event in events] == ["stalled"]
        assert events[0].data == {"since": before.progressed_at.isoformat()}

    async def test_a_look_is_bounded_and_goes_on_with_the_next(
        self, stores: CommonStores, pass_time: PassTime
    ) -> None:
        opened = [(await open_run(stores, brand)).run.id for brand in ("a", "b", "c")]
        await pass_time(LONG_S)
        assert len(await look(stores, limit=2)) == 2
        await look(stores)
        assert {run.id for run in await stores.runs.runs_of(opened) if run.stalled} == {*opened}
        page = await stores.runs.runs_slice(RunFilter(stalled=True), before=None, limit=2)
        assert [run.id for run in page.rows] == [opened[2], opened[1]]
        rest = await stores.runs.runs_slice(RunFilter(stalled=True), before=page.next, limit=2)
        assert ([run.id for run in rest.rows], rest.next) == ([opened[0]], None)
        failed = await stores.runs.runs_slice(
            RunFilter(states=frozenset({RunState.FAILED}), stalled=True), before=None, limit=2
        )
        assert failed.rows == []
