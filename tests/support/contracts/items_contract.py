"""What every `ItemStore` must do: items as people look at them, and what is done to them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from tests.support.contracts.stores_contract import (
    LIMIT,
    POLICY,
    CommonStores,
    done,
    failed,
    open_run,
)
from triptych.errors import Conflict, RunNotFound
from triptych.gather.urls import item_key
from triptych.model import Item, ItemResult, NewItem, Reason, Run, RunState
from triptych.runs.item_store import ItemFilter, ItemStanding, RunItem
from triptych.runs.run_store import PutOff

HOSTS = ("a.example", "b.example:8080")
LATER_S = 600.0


def rows(count: int) -> list[NewItem]:
    """Items of two hosts by turns."""
    urls = [f"https://{HOSTS[n % 2]}/Picture-{n}.png" for n in range(count)]
    return [NewItem(item_key(url), url, {}) for url in urls]


async def listed(
    stores: CommonStores, count: int, *, limit: int = LIMIT
) -> tuple[UUID, list[Item]]:
    """Open a run of so many items, of which ``limit`` are sent; return these."""
    run_id = (await open_run(stores)).run.id
    sent = await stores.runs.expect(run_id, rows(count), cursor=None, limit=limit)
    await stores.runs.seal(run_id)
    return run_id, list(sent)


async def all_of(
    stores: CommonStores, run_id: UUID, wanted: ItemFilter | None = None, *, limit: int = 3
) -> list[RunItem]:
    """Return everything that a filter passes, page by page."""
    found: list[RunItem] = []
    after: int | None = None
    while True:
        page = await stores.items.page(run_id, wanted or ItemFilter(), after=after, limit=limit)
        assert len(page.rows) <= limit
        found += page.rows
        if page.next is None:
            return found
        after = page.next


def numbers(items: Sequence[RunItem]) -> list[int]:
    return [int(item.url.partition("-")[2].removesuffix(".png")) for item in items]


async def one_of_each(stores: CommonStores) -> UUID:
    """A run whose items 0 to 6 are done, failed, skipped, delayed, delayed for a host, sent and
    pending."""
    run_id, sent = await listed(stores, 7, limit=6)
    skipped = ItemResult(sent[2].key, None, Reason.SKIPPED, "HTTP 500")
    await stores.runs.count_attempt(
        run_id,
        sent[3].key,
        seen=0,
        delay_s=LATER_S,
        reason=Reason.SERVER_ERROR,
        detail="HTTP 500",
    )
    await stores.runs.put_off(run_id, [PutOff(sent[4].key, LATER_S, "https://a.example")])
    # No window: nothing takes the place of what settles.
    await stores.runs.settle(run_id, [done(sent[0]), failed(sent[1]), skipped], limit=0)
    return run_id


class ItemsContract:
    """Where items are, what they wait for, trying them now and redriving them by name."""

    async def test_each_item_says_where_it_is_and_why(self, stores: CommonStores) -> None:
        run_id = await one_of_each(stores)
        items = await all_of(stores, run_id)
        assert [item.state.value for item in items] == [
            *("done", "failed", "skipped", "delayed", "delayed", "sent", "pending"),
        ]
        assert [item.reason for item in items] == [
            *(None, Reason.NOT_FOUND, Reason.SKIPPED, Reason.SERVER_ERROR, Reason.HOST_DOWN),
            *(None, None),
        ]
        assert [item.detail for item in items] == [
            *(None, "404 \ufffd <b>", "HTTP 500", "HTTP 500"),
            *("https://a.example does not answer", None, None),
        ]
        assert [item.attempts for item in items] == [0, 0, 0, 1, 0, 0, 0]
        assert {item.max_attempts for item in items} == {POLICY.max_attempts}
        assert {item.host for item in items} == set(HOSTS)
        delayed = [item for item in items if item.state is ItemStanding.DELAYED]
        assert [item for item in items if item.next_attempt_at] == delayed
        assert [n for n, item in enumerate(items) if item.last_tried_at] == [3]
        assert [n for n, item in enumerate(items) if item.settled_at] == [0, 1, 2]

    async def test_a_run_of_nothing_and_no_run_have_no_items(self, stores: CommonStores) -> None:
        assert await all_of(stores, uuid4()) == []
        with pytest.raises(RunNotFound):
            await stores.items.counts(uuid4())
        with pytest.raises(RunNotFound):
            await stores.items.try_now(uuid4(), [b"k" * 16])

    @pytest.mark.parametrize("standing", list(ItemStanding))
    async def test_items_are_found_by_where_they_are(
        self, stores: CommonStores, standing: ItemStanding
    ) -> None:
        run_id = await one_of_each(stores)
        everything = await all_of(stores, run_id)
        wanted = [item for item in everything if item.state is standing]
        assert await all_of(stores, run_id, ItemFilter(state=standing), limit=1) == wanted
        assert bool(wanted) is (standing is not ItemStanding.CANCELLED)

    async def test_items_are_found_by_host_reason_and_part_of_their_url(
        self, stores: CommonStores
    ) -> None:
        run_id = await one_of_each(stores)

        async def found(wanted: ItemFilter) -> list[int]:
            return numbers(await all_of(stores, run_id, wanted, limit=2))

        assert await found(ItemFilter(host=HOSTS[1])) == [1, 3, 5]
        assert await found(ItemFilter(host="B.example")) == []
        assert await found(ItemFilter(reason=Reason.SERVER_ERROR)) == [3]
        assert await found(ItemFilter(reason=Reason.HOST_DOWN)) == [4]
        assert await found(ItemFilter(url="PICTURE-4")) == [4]
        assert await found(ItemFilter(url="%")) == []
        assert await found(ItemFilter(ItemStanding.DELAYED, host=HOSTS[0], url="picture")) == [4]

    async def test_a_whole_url_is_found_at_once_and_only_once(self, stores: CommonStores) -> None:
        run_id, _ = await listed(stores, 5)
        wanted = rows(5)[3]
        by_url = ItemFilter(url=wanted.url, key=wanted.key)
        page = await stores.items.page(run_id, by_url, after=None, limit=1)
        assert numbers(page.rows) == [3]
        assert page.next is not None
        assert numbers(await all_of(stores, run_id, by_url)) == [3]
        assert await all_of(stores, run_id, ItemFilter(url="no/such", key=b"k" * 16)) == []
        elsewhere = ItemFilter(ItemStanding.DONE, url=wanted.url, key=wanted.key)
        assert await all_of(stores, run_id, elsewhere) == []

    async def test_counts_agree_with_the_items(self, stores: CommonStores) -> None:
        run_id = await one_of_each(stores)
        counts = await stores.items.counts(run_id)
        assert [getattr(counts, standing.value) for standing in ItemStanding] == [
            *(1, 1, 2, 1, 1, 1, 0),
        ]
        assert [(host.host, host.items, host.left, host.failed) for host in counts.hosts] == [
            (HOSTS[0], 4, 2, 1),
            (HOSTS[1], 3, 2, 1),
        ]
        assert [host.delayed for host in counts.hosts] == [1, 1]
        assert (counts.each, counts.hosts_found) == (1, 2)
        await stores.runs.cancel(run_id)
        after = await stores.items.counts(run_id)
        assert (after.cancelled, after.delayed, after.sent, after.pending) == (4, 0, 0, 0)
        assert (after.done, after.failed, after.skipped) == (1, 1, 1)
        cancelled = await all_of(stores, run_id, ItemFilter(ItemStanding.CANCELLED))
        assert numbers(cancelled) == [3, 4, 5, 6]

    async def test_what_waits_is_due_at_once_and_only_that(self, stores: CommonStores) -> None:
        run_id = await one_of_each(stores)
        keys = [item.key for item in rows(7)]
        version = (await stores.runs.run(run_id)).version
        tried = await stores.items.try_now(run_id, [*keys, keys[3], b"k" * 16])
        assert sorted(item.key for item in tried) == sorted([keys[3], keys[4]])
        assert not await stores.items.try_now(run_id, keys), "they are due already"
        found = await stores.runs.items(run_id, [keys[3], keys[4]])
        assert [(item.due_in_s, item.attempts) for item in found if item.key == keys[3]] == [(0, 1)]
        assert [item.due_in_s for item in found] == [0, 0]
        assert (await stores.runs.run(run_id)).version > version
        events = await stores.runs.timeline(run_id, after=0, limit=100)
        assert [event.data for event in events if event.kind == "tried_now"] == [{"items": 2}]
        await stores.runs.cancel(run_id)
        assert not await stores.items.try_now(run_id, keys)

    async def test_named_items_are_redriven_and_no_others(self, stores: CommonStores) -> None:
        old = await self.ended(stores, failures=3)
        keys = [item.key for item in rows(6)]
        new_id = uuid4()
        opened = await self.redrive(stores, old, [keys[1]], new_id)
        assert opened.id == new_id
        assert numbers(await all_of(stores, new_id)) == [1]
        assert (await self.redrive(stores, old, [keys[1]], new_id)).id == new_id

    @pytest.mark.parametrize(
        ("place", "says"),
        [(0, "would fail again"), (5, "did not fail"), (6, "has no item")],
    )
    async def test_a_redrive_leaves_none_of_the_named_items_out_silently(
        self, stores: CommonStores, place: int, says: str
    ) -> None:
        old = await self.ended(stores, failures=3, hopeless=1)
        keys = [item.key for item in rows(7)]
        with pytest.raises(Conflict, match=says):
            await self.redrive(stores, old, [keys[1], keys[place]], uuid4())
        assert (await stores.brands.brand(old.brand)).latest == old, "nothing was opened"

    async def test_skipped_items_do_not_decide_whether_too_many_failed(
        self, stores: CommonStores
    ) -> None:
        run_id, sent = await listed(stores, 5)
        skipped = [ItemResult(item.key, None, Reason.SKIPPED) for item in sent[:3]]
        results = [*skipped, failed(sent[3]), done(sent[4])]
        await stores.runs.settle(run_id, results, limit=LIMIT)
        run = await stores.runs.commit(run_id)
        assert (run.state, run.failed) == (RunState.COMMITTED, 4), "one of two is tolerated"
        assert run.reasons == {"skipped": 3, "not_found": 1}

    async def test_too_many_of_those_that_were_not_skipped(self, stores: CommonStores) -> None:
        run_id, sent = await listed(stores, 4)
        skipped = ItemResult(sent[0].key, None, Reason.SKIPPED)
        results = [skipped, failed(sent[1]), failed(sent[2]), done(sent[3])]
        await stores.runs.settle(run_id, results, limit=LIMIT)
        run = await stores.runs.commit(run_id)
        assert run.state is RunState.FAILED
        assert run.reason == (
            "too_many_failures: 2 of 3 items failed, without 1 that were skipped, 50% tolerated"
        )

    @staticmethod
    async def ended(stores: CommonStores, *, failures: int, hopeless: int = 0) -> Run:
        """A committed run of six items; the first have failed, for ever or not."""
        run_id, sent = await listed(stores, 6)
        results = [
            *(ItemResult(item.key, None, Reason.INVALID_URL) for item in sent[:hopeless]),
            *(ItemResult(item.key, None, Reason.TIMEOUT) for item in sent[hopeless:failures]),
            *(done(item) for item in sent[failures:]),
        ]
        await stores.runs.settle(run_id, results, limit=LIMIT)
        return await stores.runs.commit(run_id)

    @staticmethod
    async def redrive(stores: CommonStores, old: Run, keys: Sequence[bytes], new_id: UUID) -> Run:
        opened = await stores.runs.redrive_run(old.id, new_id=new_id, policy=POLICY, keys=keys)
        return opened.run
