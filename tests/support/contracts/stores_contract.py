"""What every adapter of the stores must do. A subclass gives the fixture ``stores``.

The barrier's deeper proofs (crashes, racers, every row of the failure table) are in
``tests/faults``; this is each verb by itself, through the port only.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import replace
from typing import Protocol
from uuid import UUID, uuid4

import msgspec
import numpy as np
import pytest

from triptych.ai.ai_store import AiStore
from triptych.ai.step import load_snapshot
from triptych.dead_letters.dead_letter_store import DeadLetter, DeadLetterStore
from triptych.errors import (
    BrandNotFound,
    Conflict,
    RowLocked,
    RunActive,
    RunEnded,
    RunNotFound,
)
from triptych.gather.urls import item_key
from triptych.messages import AI_QUEUE, GATHER_QUEUE, Headers
from triptych.model import (
    ALSO_MAX,
    AiState,
    Colour,
    Item,
    ItemResult,
    ItemState,
    NewItem,
    Policy,
    Reason,
    Run,
    RunKind,
    RunState,
    Staged,
)
from triptych.runs.brand_store import BrandStore
from triptych.runs.change_feed import ChangeFeed
from triptych.runs.given_urls import GivenUrl
from triptych.runs.outage_store import OutageStore
from triptych.runs.run_store import (
    REFUSED_ROWS_MAX,
    Attempt,
    Opened,
    PutOff,
    RefusedRow,
    RowsRead,
    RunStore,
)
from triptych.snapshots.snapshot_store import DifferenceCounts, SnapshotStore

POLICY = Policy(tolerated_failures=0.5, max_attempts=3, deadline_s=3600)
LIMIT = 500
PATIENCE_S = 20.0


class CommonStores(Protocol):
    """The stores that Postgres has, and memory too."""

    runs: RunStore
    outages: OutageStore
    brands: BrandStore
    changes: ChangeFeed
    dead_letters: DeadLetterStore
    snapshots: SnapshotStore
    ai: AiStore

    async def check(self) -> None:
        """Raise `DatabaseUnavailable` unless they can be used."""
        ...


def new_items(count: int, start: int = 0) -> list[NewItem]:
    urls = [f"https://x/{number}" for number in range(start, start + count)]
    return [NewItem(item_key(url), url, {"url": url}) for url in urls]


def done(item: Item, content: str = "same") -> ItemResult:
    digest = hashlib.sha256(f"{content} {item.url}".encode()).digest()
    vector = np.zeros(16, np.float32)
    vector[digest[0] % 16] = 1
    return ItemResult(
        item.key,
        Staged(
            sha256=digest,
            object_key=f"sha256/{digest.hex()}",
            media_type="image/png",
            size_bytes=10,
            width=4,
            height=3,
            phash=-7,
            embedding=vector,
            model="m",
            etag='"e"',
            last_modified="t",
            colours=(Colour(0x00FF7F, 0.75), Colour(0, 0.25)),
        ),
    )


def failed(item: Item) -> ItemResult:
    return ItemResult(item.key, None, Reason.NOT_FOUND, "404 \x00 <b>")


async def open_run(stores: CommonStores, brand: str = "nike", **options: UUID) -> Opened:
    return await stores.runs.open_run(
        brand,
        run_id=options.get("run_id") or uuid4(),
        kind=RunKind.FULL,
        source="manifest:x",
        policy=POLICY,
        enqueue_gather_message=True,
    )


async def committed(
    stores: CommonStores, count: int = 5, content: str = "same", brand: str = "nike"
) -> Run:
    run_id = (await open_run(stores, brand)).run.id
    items = await stores.runs.expect(run_id, new_items(count), cursor=None, limit=LIMIT)
    await stores.runs.seal(run_id)
    await stores.runs.settle(run_id, [done(item, content) for item in items], limit=LIMIT)
    return await stores.runs.commit(run_id)


async def restore(stores: CommonStores, snapshot: UUID, *, run_id: UUID | None = None) -> Opened:
    return await stores.runs.open_run(
        "nike",
        run_id=run_id or uuid4(),
        kind=RunKind.RESTORE,
        source=None,
        policy=POLICY,
        enqueue_gather_message=True,
        restores=snapshot,
    )


class CatalogueContract:
    """One method, one transaction; all of them safe to repeat."""

    async def test_check_passes_on_a_migrated_database(self, stores: CommonStores) -> None:
        await stores.check()

    async def test_one_active_run_a_brand_and_its_message_is_owed(
        self, stores: CommonStores
    ) -> None:
        first, second = await asyncio.gather(open_run(stores), open_run(stores))
        assert {first.created, second.created} == {True, False}
        assert first.run.id == second.run.id
        (outbox_pending,) = await stores.runs.outbox_pending(
            run_id=first.run.id, older_s=0, limit=10
        )
        assert (outbox_pending.queue, dict(outbox_pending.message.body)) == (
            GATHER_QUEUE,
            {"brand": "nike"},
        )
        assert Headers.decode(outbox_pending.message.headers).run_id == first.run.id
        await stores.runs.mark_sent([outbox_pending.id])
        assert not await stores.runs.outbox_pending(run_id=None, older_s=0, limit=10)

    async def test_a_run_of_another_source_is_not_joined_and_nothing_changes(
        self, stores: CommonStores
    ) -> None:
        active = (await open_run(stores)).run

        async def another(source: str | None) -> Opened:
            return await stores.runs.open_run(
                "nike",
                run_id=uuid4(),
                kind=RunKind.FULL,
                source=source,
                policy=POLICY,
                enqueue_gather_message=True,
            )

        with pytest.raises(RunActive, match="of another source: manifest:x") as refused:
            await another("manifest:y")
        assert (refused.value.run_id, refused.value.source) == (active.id, "manifest:x")
        assert (await stores.brands.brand("nike")).source == "manifest:x"
        for same in (None, "manifest:x"):
            joined = await another(same)
            assert (joined.run.id, joined.created) == (active.id, False)

    async def test_a_run_id_opens_once_even_when_it_has_ended(self, stores: CommonStores) -> None:
        run_id = uuid4()
        await open_run(stores, run_id=run_id)
        await stores.runs.cancel(run_id)
        again = await open_run(stores, run_id=run_id)
        assert (again.created, again.run.state) == (False, RunState.CANCELLED)

    async def test_expect_counts_each_url_once_and_keeps_the_cursor(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        refused = NewItem(b"r" * 16, "ftp://x", {}, Reason.INVALID_URL, "no")
        await stores.runs.expect(
            run_id, [*new_items(3), *new_items(2), refused], cursor="c", limit=LIMIT
        )
        await stores.runs.expect(run_id, new_items(3), cursor="d", limit=LIMIT)
        run = await stores.runs.run(run_id)
        assert (run.expected, run.failed, run.out) == (4, 1, 3)
        assert await stores.runs.gather_cursor(run_id) == "d"

    async def test_a_run_that_would_remove_too_much_is_held(self, stores: CommonStores) -> None:
        before = await committed(stores, 5)
        held = await committed(stores, 2)
        assert (held.state, held.removed, held.complete) == (RunState.HELD, 3, True)
        assert held.reason is not None
        assert "3 of 5 assets (60%); 50% may be removed" in held.reason
        assert (await stores.brands.brand("nike")).current_run == before.id
        (event,) = [
            e for e in await stores.runs.timeline(held.id, after=0, limit=99) if e.kind == "held"
        ]
        assert (event.data["removed"], event.data["of"], len(event.data["urls"])) == (3, 5, 3)
        with pytest.raises(Conflict, match="is held"):
            await stores.runs.redrive_run(held.id, new_id=uuid4(), policy=POLICY)
        published = await stores.runs.publish(held.id)
        assert (published.state, published.kept, published.removed) == (RunState.COMMITTED, 2, 3)
        assert published.reason is None
        assert (await stores.brands.brand("nike")).current_run == held.id
        with pytest.raises(Conflict, match="not held"):
            await stores.runs.publish(held.id)

    async def test_an_empty_run_never_empties_a_brand_by_itself(self, stores: CommonStores) -> None:
        assert (await committed(stores, 0, brand="new")).state is RunState.COMMITTED
        before = await committed(stores, 1)
        opened = await stores.runs.open_run(
            "nike",
            run_id=uuid4(),
            kind=RunKind.FULL,
            source=None,
            policy=msgspec.structs.replace(POLICY, max_removed=1.0),
            enqueue_gather_message=False,
        )
        await stores.runs.seal(opened.run.id)
        held = await stores.runs.commit(opened.run.id)
        assert (held.state, held.removed) == (RunState.HELD, 1)
        assert "nothing would remain" in (held.reason or "")
        discarded = await stores.runs.discard(held.id, "an operator's wish")
        assert (discarded.state, discarded.reason) == (RunState.CANCELLED, "an operator's wish")
        assert (await stores.brands.brand("nike")).current_run == before.id
        with pytest.raises(Conflict, match="not held"):
            await stores.runs.discard(held.id, "again")

    async def test_what_the_policy_allows_is_removed(self, stores: CommonStores) -> None:
        await committed(stores, 4)
        run = await committed(stores, 2)
        assert (run.state, run.removed) == (RunState.COMMITTED, 2)

    async def test_a_newer_run_discards_a_held_one_and_says_so(self, stores: CommonStores) -> None:
        await committed(stores, 5)
        held = await committed(stores, 1)
        newer = (await open_run(stores)).run
        found = await stores.runs.run(held.id)
        assert found.state is RunState.CANCELLED
        assert found.reason == f"a newer run was started, {newer.id}"
        with pytest.raises(Conflict):
            await stores.runs.publish(held.id)

    async def test_a_restore_publishes_an_older_snapshot_as_it_was(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        listed = new_items(5)
        again = replace(listed[1], metadata={"title": "once more"})
        items = await stores.runs.expect(run_id, [*listed, again], cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        await stores.runs.settle(run_id, [done(item) for item in items], limit=LIMIT)
        old = await stores.runs.commit(run_id)
        newer = await stores.runs.publish((await committed(stores, 2, "other")).id)
        assert (newer.changed, newer.removed) == (2, 3)
        counts = await stores.snapshots.difference_counts(newer.id, old.id)
        assert counts == DifferenceCounts(added=3, removed=0, changed=2, kept=0, other_model=0)

        opened = await restore(stores, old.id)
        assert (opened.created, opened.run.kind, opened.run.restores) == (
            True,
            RunKind.RESTORE,
            old.id,
        )
        (owed,) = await stores.runs.outbox_pending(run_id=opened.run.id, older_s=0, limit=10)
        assert owed.queue == GATHER_QUEUE
        assert (await stores.brands.brand("nike")).current_run == newer.id, "not before its commit"
        await stores.runs.seal(opened.run.id)
        run = await stores.runs.commit(opened.run.id)
        assert (run.state, run.ai_state) == (RunState.COMMITTED, AiState.QUEUED)
        assert (run.added, run.kept, run.changed, run.removed) == (3, 0, 2, 0)
        assert (run.expected, run.rows_read, run.restores) == (0, 0, old.id)
        assert (await stores.runs.commit(run.id)) == run
        assert (await stores.brands.brand("nike")).current_run == run.id
        outbox = await stores.runs.outbox_pending(run_id=run.id, older_s=0, limit=10)
        assert [each.queue for each in outbox] == [GATHER_QUEUE, AI_QUEUE]
        events = await stores.runs.timeline(run.id, after=0, limit=99)
        assert dict(events[0].data) == {"kind": "restore", "restores": str(old.id)}
        assert events[-1].kind == "committed"

        was = await stores.snapshots.assets(old.id, after=None, limit=99)
        now = await stores.snapshots.assets(run.id, after=None, limit=99)
        assert len(was) == 5
        for one, other in zip(was, now, strict=True):
            same = msgspec.structs.replace(other, run_id=old.id, embedding=one.embedding)
            assert same == one
            assert np.array_equal(other.embedding, one.embedding)  # type: ignore[arg-type]
        assert [asset.also for asset in now].count([{"title": "once more"}]) == 1
        known = await stores.snapshots.known_assets("nike", [asset.key for asset in now])
        assert {(staged.etag, staged.last_modified) for staged in known.values()} == {('"e"', "t")}
        page = await stores.snapshots.difference_slice(
            "nike", old.id, run.id, change=None, after=b"", limit=99
        )
        assert (list(page.rows), page.next) == ([], None)
        counts = await stores.snapshots.difference_counts(old.id, run.id)
        assert counts == DifferenceCounts(added=0, removed=0, changed=0, kept=5, other_model=0)
        changes = await stores.snapshots.difference_slice(
            "nike", newer.id, run.id, change=None, after=b"", limit=99
        )
        assert Counter(each.change for each in changes.rows) == {"added": 3, "changed": 2}

    async def test_embeddings_of_another_model_are_counted_and_come_back(
        self, stores: CommonStores
    ) -> None:
        old = await committed(stores, 3)
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(2), cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        results = [done(item) for item in items]
        newer = [
            replace(each, staged=replace(each.staged, model="newer"))  # type: ignore[type-var]
            for each in results
        ]
        await stores.runs.settle(run_id, newer, limit=LIMIT)
        assert (await stores.runs.commit(run_id)).kept == 2
        counts = await stores.snapshots.difference_counts(run_id, old.id)
        assert counts == DifferenceCounts(added=1, removed=0, changed=0, kept=2, other_model=3)
        restored = (await restore(stores, old.id)).run.id
        await stores.runs.seal(restored)
        await stores.runs.commit(restored)
        assets = await stores.snapshots.assets(restored, after=None, limit=9)
        assert [asset.model for asset in assets] == ["m"] * 3

    async def test_a_restore_that_removes_most_is_not_held(self, stores: CommonStores) -> None:
        old = await committed(stores, 1)
        await committed(stores, 5)
        run_id = (await restore(stores, old.id)).run.id
        await stores.runs.seal(run_id)
        run = await stores.runs.commit(run_id)
        assert (run.state, run.kept, run.removed) == (RunState.COMMITTED, 1, 4)
        with pytest.raises(Conflict, match="is a restore"):
            await stores.runs.redrive_run(run.id, new_id=uuid4(), policy=POLICY)

    async def test_a_restore_that_cannot_be_says_why_and_changes_nothing(
        self, stores: CommonStores
    ) -> None:
        other = await committed(stores, 1, brand="adidas")
        with pytest.raises(BrandNotFound):
            await restore(stores, other.id)
        old, newer = await committed(stores, 2), await committed(stores, 2)
        for unknown in (other.id, uuid4()):
            with pytest.raises(RunNotFound, match="has no snapshot"):
                await restore(stores, unknown)
        with pytest.raises(Conflict, match="nothing to restore"):
            await restore(stores, newer.id)
        held = await committed(stores, 0)
        assert held.state is RunState.HELD
        with pytest.raises(RunActive, match=f"has a held run .{held.id}.*nothing would remain"):
            await restore(stores, old.id)
        assert (await stores.runs.run(held.id)).state is RunState.HELD
        await stores.runs.discard(held.id, "not wanted")
        active = (await open_run(stores)).run
        joined = await restore(stores, old.id)
        assert (joined.created, joined.run.id) == (False, active.id)
        await stores.runs.cancel(active.id)
        assert {run.kind for run in await stores.runs.runs("nike", limit=99)} == {RunKind.FULL}

    async def test_a_restore_is_opened_once_and_takes_in_no_url(self, stores: CommonStores) -> None:
        old, newer = await committed(stores, 3), await committed(stores, 3)
        opened = await restore(stores, old.id)
        again = await restore(stores, old.id, run_id=opened.run.id)
        assert (again.run.id, again.created) == (opened.run.id, False)
        with pytest.raises(RowLocked):
            await stores.runs.accept_external(
                "nike", new_items(1)[0], message_id="q/1", run_id=uuid4(), policy=POLICY
            )
        cancelled = await stores.runs.cancel(opened.run.id)
        assert (cancelled.state, cancelled.expected) == (RunState.CANCELLED, 0)
        assert (await stores.brands.brand("nike")).current_run == newer.id

    async def test_a_held_run_is_overdue_after_its_time(self, stores: CommonStores) -> None:
        await committed(stores, 5)
        held = await committed(stores, 1)
        assert await stores.runs.overdue_held(older_s=3600, limit=10) == []
        assert await stores.runs.overdue_held(older_s=-1, limit=10) == [held.id]

    async def test_each_row_is_an_item_is_merged_or_is_refused(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        without_url = [RefusedRow(f"line {n}", "There is no URL in src.") for n in (5, 6)]
        rows = RowsRead(7, without_url, from_start=True)
        await stores.runs.expect(
            run_id, [*new_items(3), *new_items(2)], cursor="a", limit=LIMIT, rows=rows
        )
        await stores.runs.expect(run_id, new_items(4), cursor="b", limit=LIMIT)
        run = await stores.runs.run(run_id)
        assert (run.rows_read, run.expected, run.rows_merged, run.rows_refused) == (11, 4, 5, 2)
        assert list(await stores.runs.refused_rows(run_id)) == without_url

    async def test_rows_of_one_url_keep_all_their_metadata(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        key = new_items(1)[0].key
        rows = [NewItem(key, "https://x/0", {"sku": f"S{n}"}) for n in (1, 2, 3, 2)]
        for _ in range(2):  # As after a crash.
            await stores.runs.expect(run_id, rows[:3], cursor=None, limit=LIMIT)
            await stores.runs.expect(run_id, rows[3:], cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        (item,) = await stores.runs.items(run_id, [key])
        await stores.runs.settle(run_id, [done(item)], limit=LIMIT)
        await stores.runs.commit(run_id)
        asset = await stores.snapshots.asset("nike", key)
        assert (asset.metadata, list(asset.also)) == ({"sku": "S1"}, [{"sku": "S2"}, {"sku": "S3"}])
        added = (
            await stores.runs.open_run(
                "nike",
                run_id=uuid4(),
                kind=RunKind.ADD,
                source=None,
                policy=POLICY,
                enqueue_gather_message=False,
            )
        ).run.id
        await stores.runs.seal(added)
        await stores.runs.commit(added)
        carried = await stores.snapshots.asset("nike", key)
        assert (carried.run_id, carried.also) == (added, asset.also)

    async def test_further_metadata_are_bounded(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        key = new_items(1)[0].key
        rows = [NewItem(key, "https://x/0", {"n": n}) for n in range(ALSO_MAX + 5)]
        (item,) = await stores.runs.expect(run_id, rows, cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        await stores.runs.settle(run_id, [done(item)], limit=LIMIT)
        await stores.runs.commit(run_id)
        asset = await stores.snapshots.asset("nike", key)
        assert [each["n"] for each in asset.also] == list(range(1, ALSO_MAX + 1))
        assert (await stores.runs.run(run_id)).rows_merged == ALSO_MAX + 4

    async def test_rows_that_are_read_again_from_the_start_are_counted_once(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        adopted = NewItem(b"a" * 16, "https://x/by-message", {})
        await stores.runs.accept_external(
            "nike", adopted, message_id="m1", run_id=uuid4(), policy=POLICY
        )
        for _ in range(2):
            rows = RowsRead(4, [RefusedRow("line 5", "No URL.")], from_start=True)
            await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT, rows=rows)
        run = await stores.runs.run(run_id)
        assert (run.rows_read, run.expected, run.rows_merged, run.rows_refused) == (5, 4, 0, 1)
        assert len(await stores.runs.refused_rows(run_id)) == 1

    async def test_the_first_refused_rows_are_kept_and_all_are_counted(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        each = REFUSED_ROWS_MAX - 1
        for page in range(2):
            refused = [RefusedRow(f"page {page} line {n}\0", "No \0URL.") for n in range(each)]
            await stores.runs.expect(
                run_id, [], cursor=str(page), limit=LIMIT, rows=RowsRead(each, refused)
            )
        run = await stores.runs.run(run_id)
        kept = await stores.runs.refused_rows(run_id)
        assert (run.rows_read, run.rows_refused, len(kept)) == (2 * each, 2 * each, each + 1)
        assert kept[-1].place.startswith("page 1 line 0")

    async def test_a_redriven_items_row_is_its_own(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        await stores.runs.settle(run_id, [failed(item) for item in items], limit=LIMIT)
        await stores.runs.commit(run_id)
        run = (await stores.runs.redrive_run(run_id, new_id=uuid4(), policy=POLICY)).run
        assert (run.rows_read, run.expected, run.rows_merged) == (3, 3, 0)

    async def test_g10_no_more_than_the_window_is_out(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        out = list(await stores.runs.expect(run_id, new_items(10), cursor=None, limit=4))
        assert [item.url for item in out] == [f"https://x/{n}" for n in range(4)]
        assert not await stores.runs.claim_window(run_id, limit=4)
        settlement = await stores.runs.settle(run_id, [done(out[0]), failed(out[1])], limit=4)
        assert [item.url for item in settlement.dispatch] == ["https://x/4", "https://x/5"]
        assert settlement.run.out == 4

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

    async def test_g3_an_unsealed_run_cannot_commit(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(2), cursor=None, limit=LIMIT)
        await stores.runs.settle(run_id, [done(item) for item in items], limit=LIMIT)
        assert (await stores.runs.commit(run_id)).state is RunState.ACTIVE
        await stores.runs.seal(run_id)
        assert (await stores.runs.commit(run_id)).state is RunState.COMMITTED

    async def test_g2_a_commit_that_does_not_wait_commits_a_free_run(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        await stores.runs.seal(run_id)
        assert (await stores.runs.commit(run_id, wait=False)).state is RunState.COMMITTED
        with pytest.raises(RunNotFound):
            await stores.runs.commit(uuid4(), wait=False)

    async def test_g3_a_run_of_nothing_commits_when_sealed(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        assert (await stores.runs.seal(run_id)).complete
        run = await stores.runs.commit(run_id)
        assert (run.state, run.added) == (RunState.COMMITTED, 0)

    async def test_what_is_no_picture_has_no_size_in_pixels(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        (item,) = await stores.runs.expect(run_id, new_items(1), cursor=None, limit=LIMIT)
        staged = Staged(b"0" * 32, "sha256/film", "video/mp4", 9, None, None, None, None, None)
        await stores.runs.seal(run_id)
        await stores.runs.settle(run_id, [ItemResult(item.key, staged)], limit=LIMIT)
        await stores.runs.commit(run_id)
        (asset,) = await stores.snapshots.assets(run_id, after=None, limit=LIMIT)
        assert (asset.media_type, asset.width, asset.height, asset.phash) == (
            "video/mp4",
            None,
            None,
            None,
        )
        assert (await stores.snapshots.known_assets("nike", [item.key]))[item.key] == staged

    async def test_g1_commit_publishes_everything_at_once(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(5), cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        await stores.runs.settle(run_id, [done(item) for item in items], limit=LIMIT)
        assert (await stores.brands.brand("nike")).current_run is None
        run = await stores.runs.commit(run_id)
        brand = await stores.brands.brand("nike")
        assert (brand.current_run, brand.assets) == (run_id, 5)
        assert (run.state, run.added, run.ai_state) == (RunState.COMMITTED, 5, AiState.QUEUED)
        pages = [page async for page in stores.snapshots.stream_assets(run_id, batch=2)]
        assert [len(page) for page in pages] == [2, 2, 1]
        asset = pages[0][0]
        result = {item.key: done(item).staged for item in items}[asset.key]
        assert result is not None
        assert (asset.sha256, asset.phash, asset.model) == (result.sha256, -7, "m")
        assert asset.colours == result.colours == (Colour(0x00FF7F, 0.75), Colour(0, 0.25))
        assert asset.embedding is not None
        np.testing.assert_array_equal(asset.embedding, result.embedding)

    async def test_assets_of_two_models_keep_their_model_and_dimension(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        results = [done(item) for item in items]
        assert results[0].staged is not None
        other = replace(results[0].staged, embedding=np.ones(8, np.float32), model="n")
        results[0] = replace(results[0], staged=other)
        await stores.runs.settle(run_id, results, limit=LIMIT)
        run = await stores.runs.commit(run_id)
        expected = {items[0].key: ("n", 8), items[1].key: ("m", 16), items[2].key: ("m", 16)}
        (page,) = [page async for page in stores.snapshots.stream_assets(run_id, batch=10)]
        known = await stores.snapshots.known_assets("nike", list(expected))
        for found in ({asset.key: asset for asset in page}, known):
            assert expected == {
                key: (each.model, each.embedding.size)
                for key, each in found.items()
                if each.embedding is not None
            }
        compared = await load_snapshot(stores.snapshots, run)
        assert (compared.model, compared.embeddings.shape) == ("m", (2, 16))
        assert items[0].key not in {bytes(compared.keys[row]) for row in compared.embedded}

    async def test_g2_commit_twice_is_one_commit(self, stores: CommonStores) -> None:
        run = await committed(stores)
        assert await stores.runs.commit(run.id) == run
        kinds = [event.kind for event in await stores.runs.timeline(run.id, after=0, limit=100)]
        assert kinds.count("committed") == 1

    async def test_difference_against_the_last_snapshot(self, stores: CommonStores) -> None:
        await committed(stores, 5)
        second = await committed(stores, 3, content="other")
        assert (second.added, second.kept, second.changed, second.removed) == (0, 0, 3, 2)
        known = await stores.snapshots.known_assets("nike", [item.key for item in new_items(5)])
        assert len(known) == 3
        assert {staged.etag for staged in known.values()} == {'"e"'}

    async def test_g3_a_run_fails_whatever_its_reason_quotes(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        failed = await stores.runs.fail(run_id, "columns: \x00\x00" + "x" * 10_000)
        assert failed.state is RunState.FAILED
        assert (failed.reason or "").startswith("columns: \ufffd\ufffdx")
        assert len(failed.reason or "") < 10_000

    async def test_g1_cancel_leaves_the_snapshot(self, stores: CommonStores) -> None:
        first = await committed(stores)
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT)
        await stores.runs.settle(run_id, [done(items[0])], limit=LIMIT)
        cancelled = await stores.runs.cancel(run_id)
        assert (cancelled.state, cancelled.done, cancelled.out) == (RunState.CANCELLED, 1, 0)
        assert (await stores.brands.brand("nike")).current_run == first.id
        with pytest.raises(RunEnded):
            await stores.runs.settle(run_id, [done(items[1])], limit=LIMIT)
        with pytest.raises(RunEnded):
            await stores.runs.expect(run_id, new_items(1), cursor=None, limit=LIMIT)
        with pytest.raises(RunEnded):
            await stores.runs.pause(run_id, paused=True)

    async def test_a_strangers_url_opens_a_run_that_adds(self, stores: CommonStores) -> None:
        await committed(stores, 5)
        (item,) = new_items(1, start=9)

        async def accept_external() -> Item | None:
            return await stores.runs.accept_external(
                "nike", item, message_id="m1", run_id=UUID(int=1), policy=POLICY
            )

        first, again = await accept_external(), await accept_external()
        assert first is not None
        assert first == again
        assert first.state is ItemState.PENDING
        due = await stores.runs.due(idle_s=0, quiet_s=600, limit=10)
        assert due.seal == [first.run_id]
        await stores.runs.seal(first.run_id)
        await stores.runs.settle(first.run_id, [done(first)], limit=LIMIT)
        run = await stores.runs.commit(first.run_id)
        assert (run.kind, run.added, run.kept, run.removed) == (RunKind.ADD, 1, 5, 0)
        assert await accept_external() is None, "its run has ended"

    async def test_given_urls_are_one_source_and_stay_while_it_is_used(
        self, stores: CommonStores
    ) -> None:
        urls = [GivenUrl("https://x/1", {"n": 1, "zero": "\x00"}), GivenUrl(""), GivenUrl("//y")]
        source = await stores.brands.keep_urls("nike", urls)
        assert source.startswith("urls:")
        assert await stores.brands.keep_urls("nike", list(urls)) == source
        assert await stores.brands.keep_urls("nike", urls[::-1]) != source
        assert await stores.brands.kept_urls("nike", source) == urls
        assert await stores.brands.kept_urls("adidas", source) is None, "another brand has none"
        opened = await stores.runs.open_run(
            "nike",
            run_id=uuid4(),
            kind=RunKind.FULL,
            source=source,
            policy=POLICY,
            enqueue_gather_message=True,
        )
        assert opened.run.source == source
        assert (await stores.brands.brand("nike")).source == source, "as any other source"

    async def test_failures_are_grouped_with_examples(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(5), cursor=None, limit=LIMIT)
        await stores.runs.settle(run_id, [failed(item) for item in items[:4]], limit=LIMIT)
        assert list(await stores.runs.failure_counts(run_id)) == [("not_found", 4)]
        page = await stores.runs.failed_items(run_id, "not_found", after=-1, limit=2)
        assert len(page.rows) == 2
        assert (page.rows[0].url, page.rows[0].detail) == ("https://x/0", "404 \ufffd <b>")

    async def test_redrive_refuses_what_makes_no_sense(self, stores: CommonStores) -> None:
        with pytest.raises(RunNotFound):
            await stores.runs.redrive_run(uuid4(), new_id=uuid4(), policy=POLICY)
        active = (await open_run(stores)).run.id
        with pytest.raises(Conflict, match="still active"):
            await stores.runs.redrive_run(active, new_id=uuid4(), policy=POLICY)
        await stores.runs.cancel(active)
        whole = await committed(stores)
        with pytest.raises(Conflict, match="nothing left"):
            await stores.runs.redrive_run(whole.id, new_id=uuid4(), policy=POLICY)
        assert (await stores.runs.runs("nike", limit=1))[0].id == whole.id, "no run was left behind"

    async def test_g7_a_listener_hears_of_every_changed_run(self, stores: CommonStores) -> None:
        async with stores.changes.changes() as changed:
            run_id = (await open_run(stores)).run.id
            assert await asyncio.wait_for(anext(changed), PATIENCE_S) == run_id
            before = await stores.runs.run(run_id)
            await stores.runs.pause(run_id, paused=True)
            assert await asyncio.wait_for(anext(changed), PATIENCE_S) == run_id
            assert (await stores.runs.run(run_id)).version > before.version

    async def test_g7_a_feed_tells_of_runs_and_brands(self, stores: CommonStores) -> None:
        async with stores.changes.feed(catch_up_s=PATIENCE_S) as feed, asyncio.timeout(PATIENCE_S):
            run_id = (await open_run(stores)).run.id
            runs: set[UUID] = set()
            brands: set[str] = set()
            while run_id not in runs or "nike" not in brands:
                news = await feed.news()
                runs |= news.runs.keys()
                brands |= news.brands

    async def test_brands_and_runs_are_found_together(self, stores: CommonStores) -> None:
        run = await stores.runs.run((await open_run(stores)).run.id)
        other = await stores.runs.run((await open_run(stores, "adidas")).run.id)
        found = await stores.brands.brands_of(["nike", "nobody"], [other.id, uuid4()])
        assert [brand.name for brand in found] == ["adidas", "nike"]
        assert [brand.latest for brand in found] == [other, run]
        assert await stores.brands.brands_of([], []) == []
        assert await stores.runs.runs_of([run.id, uuid4()]) == [run]

    async def test_g7_a_brands_version_grows_with_its_newest_run(
        self, stores: CommonStores
    ) -> None:
        versions = []
        for _ in range(2):
            run_id = (await open_run(stores)).run.id
            versions.append((await stores.brands.brand("nike")).version)
            await stores.runs.pause(run_id, paused=True)
            versions.append((await stores.brands.brand("nike")).version)
            await stores.runs.cancel(run_id)
            versions.append((await stores.brands.brand("nike")).version)
        assert versions == sorted(versions)
        assert len(set(versions)) >= 5

    async def test_g7_the_timeline_has_every_seq_once(self, stores: CommonStores) -> None:
        run = await committed(stores)
        events = await stores.runs.timeline(run.id, after=0, limit=100)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.kind for event in events] == ["opened", "page", "sealed", "committed"]
        assert await stores.runs.timeline(run.id, after=2, limit=1) == events[2:3]

    async def test_dead_letters_are_kept_once(self, stores: CommonStores) -> None:
        letter = DeadLetter("url-process-queue", "m", {"a": 1}, {"h": "v"}, "why", None)
        await stores.dead_letters.record(letter)
        await stores.dead_letters.record(letter)
        ((_, kept),) = await stores.dead_letters.dead_letters(limit=10)
        assert kept == letter

    async def test_unknown_names_are_told(self, stores: CommonStores) -> None:
        with pytest.raises(RunNotFound):
            await stores.runs.run(uuid4())
        with pytest.raises(BrandNotFound):
            await stores.brands.brand("nobody")
