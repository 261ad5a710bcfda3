"""How every store hands out items, counts their attempts and settles them."""

from __future__ import annotations

import asyncio

from tests.support.contracts.stores_contract import (
    LIMIT,
    CommonStores,
    done,
    failed,
    new_items,
    open_run,
)
from triptych.runs.run_store import (
    CLAIM_MAX,
    Attempt,
    PutOff,
)


class SettlingContract:
    """From an item that is dispatched to one that is done or failed."""

    async def test_g10_no_more_than_the_window_is_out(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        out = list(await stores.runs.expect(run_id, new_items(10), cursor=None, limit=4))
        assert [item.url for item in out] == [f"https://x/{n}" for n in range(4)]
        assert not await stores.runs.claim_window(run_id, limit=4)
        settlement = await stores.runs.settle(run_id, [done(out[0]), failed(out[1])], limit=4)
        assert [item.url for item in settlement.dispatch] == ["https://x/4", "https://x/5"]
        assert settlement.run.out == 4

    async def test_a_wide_window_is_filled_in_steps(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = new_items(CLAIM_MAX + 2)
        out = await stores.runs.expect(run_id, items, cursor=None, limit=10 * CLAIM_MAX)
        assert len(out) == CLAIM_MAX
        settlement = await stores.runs.settle(run_id, [done(out[0])], limit=10 * CLAIM_MAX)
        assert len(settlement.dispatch) == 2

    async def test_a_smaller_window_takes_nothing_back(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        out = await stores.runs.expect(run_id, new_items(8), cursor=None, limit=4)
        smaller = await stores.runs.settle(run_id, [done(out[0])], limit=2)
        assert (smaller.run.out, list(smaller.dispatch)) == (3, [])
        smaller = await stores.runs.settle(run_id, [done(out[1]), done(out[2])], limit=2)
        assert (smaller.run.out, len(smaller.dispatch)) == (2, 1)

    async def test_runs_with_something_to_send_are_counted(self, stores: CommonStores) -> None:
        async def runs() -> int:
            return (await stores.fleet.fleet()).runs

        sent = (await open_run(stores, "sent")).run.id
        await stores.runs.expect(sent, new_items(3), cursor=None, limit=3)
        assert await runs() == 0
        large = (await open_run(stores, "large")).run.id
        out = await stores.runs.expect(large, new_items(3), cursor=None, limit=2)
        assert await runs() == 1
        await stores.runs.pause(large, paused=True)
        assert await runs() == 0
        await stores.runs.pause(large, paused=False)
        assert await runs() == 1
        await stores.runs.settle(large, [done(out[0])], limit=2)
        assert await runs() == 0

    async def test_items_are_read_while_the_run_is_active(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        (item,) = await stores.runs.expect(run_id, new_items(1), cursor=None, limit=LIMIT)
        (found,) = await stores.runs.items(run_id, [item.key, b"?" * 16])
        assert (found.url, dict(found.metadata), found.brand) == (item.url, item.metadata, "nike")
        await stores.runs.cancel(run_id)
        assert not await stores.runs.items(run_id, [item.key])

    async def test_settling_twice_changes_nothing(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT)
        first = await stores.runs.settle(
            run_id, [done(items[0]), done(items[0]), failed(items[1])], limit=LIMIT
        )
        assert first.changed == {items[0].key, items[1].key}
        again = await stores.runs.settle(run_id, [failed(items[0]), done(items[1])], limit=LIMIT)
        assert not again.changed
        assert (again.run.done, again.run.failed, again.run.version) == (
            1,
            1,
            first.run.version,
        )

    async def test_attempts_are_counted_and_the_last_is_told(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        (item,) = await stores.runs.expect(run_id, new_items(1), cursor=None, limit=LIMIT)
        told = [
            await stores.runs.count_attempt(run_id, item.key, seen=seen, delay_s=1)
            for seen in range(3)
        ]
        assert told == [Attempt.COUNTED, Attempt.COUNTED, Attempt.LAST]
        (found,) = await stores.runs.items(run_id, [item.key])
        assert found.attempts == 3

    async def test_copies_that_are_tried_together_are_one_attempt(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        (item,) = await stores.runs.expect(run_id, new_items(1), cursor=None, limit=LIMIT)
        for seen in range(2):
            copies = (
                stores.runs.count_attempt(run_id, item.key, seen=seen, delay_s=60)
                for _ in range(10)
            )
            told = await asyncio.gather(*copies)
            assert sorted(told, key=lambda attempt: attempt.value) == [
                Attempt.COUNTED,
                *[Attempt.STALE] * 9,
            ]
        (found,) = await stores.runs.items(run_id, [item.key])
        assert found.attempts == 2

    async def test_an_attempt_of_what_has_settled_is_not_counted(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(2), cursor=None, limit=LIMIT)
        await stores.runs.settle(run_id, [done(items[0])], limit=LIMIT)
        settled = await stores.runs.count_attempt(run_id, items[0].key, seen=0, delay_s=1)
        await stores.runs.cancel(run_id)
        ended = await stores.runs.count_attempt(run_id, items[1].key, seen=0, delay_s=1)
        assert settled is ended is Attempt.STALE

    async def test_an_item_says_when_it_is_due(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT)
        retried, put_off, other = (item.key for item in items)
        await stores.runs.count_attempt(run_id, retried, seen=0, delay_s=600)
        await stores.runs.put_off(run_id, [PutOff(put_off, 300), PutOff(put_off, 30)])
        found = {item.key: item for item in await stores.runs.items(run_id, [i.key for i in items])}
        assert 590 < found[retried].due_in_s <= 600
        assert 290 < found[put_off].due_in_s <= 300, "of two copies the later time holds"
        assert (found[other].due_in_s, found[put_off].attempts) == (0, 0)
        await stores.runs.put_off(run_id, [PutOff(retried, 1), PutOff(b"?" * 16, 1)])
        (again,) = await stores.runs.items(run_id, [retried])
        assert 590 < again.due_in_s <= 600, "never to an earlier time"
