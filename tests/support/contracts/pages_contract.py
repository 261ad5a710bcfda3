"""What every adapter must do for the API: pages, tasks, keys, workers, steering.

A subclass gives the fixture ``stores``. How they look over HTTP is tested in
``tests/integration/test_api_*.py``.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest

from tests.support.contracts.stores_contract import (
    LIMIT,
    POLICY,
    CommonStores,
    committed,
    done,
    failed,
    new_items,
    open_run,
)
from triptych.access.access_store import Scope
from triptych.dead_letters.dead_letter_store import DeadLetter
from triptych.errors import (
    AssetNotFound,
    BrandNotFound,
    Conflict,
    IdempotencyKeyReused,
    KeyExists,
    KeyNotFound,
    SnapshotCollected,
    TaskNotFound,
)
from triptych.messages import AI_QUEUE, URL_QUEUE, Headers
from triptych.model import AiState, ItemResult, Reason, RunKind, RunState
from triptych.presence.presence_store import WorkerState
from triptych.runs.run_filter import RunFilter
from triptych.runs.run_store import PutOff
from triptych.snapshots.snapshot_store import AssetFilter, ColumnFilter, NearColour
from triptych.tasks.task_store import Audit, Request, TaskState
from triptych.wiring.stores import Stores

KEPT = {"kept_s": 3600.0, "stale_s": 60.0}


def asks(key: str | None = "k", fingerprint: bytes = b"f", actor: str = "a") -> Request:
    return Request("start", actor, "nike", key, fingerprint)


async def listed(stores: CommonStores, wanted: RunFilter) -> list[UUID]:
    """Return the ids of the runs that a filter takes, read one by one."""
    found: list[UUID] = []
    before = None
    while True:
        page = await stores.runs.runs_slice(wanted, before=before, limit=1)
        found += [run.id for run in page.rows]
        if page.next is None:
            return found
        before = page.next


class PagesContract:
    """Each listing is walked whole, each change made twice."""

    async def test_brands_go_on_behind_a_name(self, stores: CommonStores) -> None:
        for name in ("a", "b", "c"):
            await open_run(stores, name)
        slice_after = partial(stores.brands.brands_slice, name=None, state=None, limit=2)
        first = await slice_after(after="")
        assert ([brand.name for brand in first.rows], first.next) == (["a", "b"], "b")
        rest = await slice_after(after="b")
        assert ([brand.name for brand in rest.rows], rest.next) == (["c"], None)
        assert rest.rows[0].latest is not None
        few = await slice_after(after="", among=frozenset({"b", "c", "gone"}))
        assert ([brand.name for brand in few.rows], few.next) == (["b", "c"], None)
        named = await slice_after(after="", name="b", among=frozenset({"a", "c"}))
        assert (list(named.rows), named.next) == ([], None)
        with pytest.raises(BrandNotFound):
            await stores.brands.scheduled("d")
        with pytest.raises(BrandNotFound):
            await stores.brands.snapshot_of("d")

    async def test_assets_are_found_in_slices_by_filter_and_by_key(
        self, stores: CommonStores
    ) -> None:
        run = await committed(stores, 5)
        whole = await stores.snapshots.assets_slice(run.id, AssetFilter(), after=b"", limit=5)
        assert (len(whole.rows), whole.next) == (5, None)
        assert whole.rows[0].embedding is None
        part = await stores.snapshots.assets_slice(run.id, AssetFilter(), after=b"", limit=2)
        assert part.next == part.rows[-1].key
        rest = await stores.snapshots.assets_slice(run.id, AssetFilter(), after=part.next, limit=9)
        assert [*part.rows, *rest.rows] == list(whole.rows)
        for matching, count in [
            (AssetFilter(media_type="image/png"), 5),
            (AssetFilter(media_type="image/*"), 5),
            (AssetFilter(media_type="image/p*"), 0),
            (AssetFilter(text="X/3"), 1),
            (AssetFilter(text="%"), 0),
            (AssetFilter(colour=NearColour(0x00FF7F, 0)), 5),
            (AssetFilter(colour=NearColour(0x05FA7F, 30)), 5),
            (AssetFilter(colour=NearColour(0xFF0000, 80)), 0),
            (AssetFilter(media_type="image/png", text="x/3"), 1),
            (AssetFilter(colour_name="green"), 5),
            (AssetFilter(colour_name="red"), 0),
            (AssetFilter(shape="landscape", size="icon"), 5),
            (AssetFilter(shape="square"), 0),
            (AssetFilter(size="small"), 0),
            (AssetFilter(first_seen=f"{run.ended_at:%Y}"), 5),
            (AssetFilter(first_seen="1999-12"), 0),
            (AssetFilter(columns=(ColumnFilter("url", ("https://x/3", "https://x/4")),)), 2),
            (AssetFilter(columns=(ColumnFilter("url", day="2026"),)), 0),
            (AssetFilter(columns=(ColumnFilter("url", numbers=(0, 9)),)), 0),
            (AssetFilter(columns=(ColumnFilter("none", ("x",)),)), 0),
        ]:
            found = await stores.snapshots.assets_slice(run.id, matching, after=b"", limit=9)
            assert (len(found.rows), found.next) == (count, None), matching
        one = whole.rows[0]
        assert await stores.snapshots.asset("nike", one.key) == one
        assert await stores.snapshots.asset("nike", one.key, run_id=run.id) == one
        for run_id in (None, run.id):
            both = await stores.snapshots.asset_and_marks("nike", one.key, run_id=run_id)
            assert both == (one, {})
        with pytest.raises(AssetNotFound):
            await stores.snapshots.asset("other", one.key, run_id=run.id)
        with pytest.raises(AssetNotFound):
            await stores.snapshots.asset("nike", b"?" * 16)

    async def test_snapshots_and_what_they_have_otherwise(self, stores: CommonStores) -> None:
        old = await committed(stores, 3)
        new = await committed(stores, 2, content="other")
        first = await stores.snapshots.snapshots_slice("nike", before=None, limit=1)
        second = await stores.snapshots.snapshots_slice("nike", before=first.next, limit=1)
        assert [first.rows[0].id, second.rows[0].id] == [new.id, old.id]
        assert second.next is None
        difference = partial(stores.snapshots.difference_slice, "nike", after=b"", limit=9)
        changes = await difference(old.id, new.id, change=None)
        kinds = sorted(change.change for change in changes.rows)
        assert kinds == ["changed", "changed", "removed"]
        back = await difference(new.id, old.id, change="added")
        assert [change.before for change in back.rows] == [None]
        same = await difference(old.id, old.id, change=None)
        assert not same.rows

    async def test_runs_by_what_they_are_like(self, stores: CommonStores) -> None:
        old = await committed(stores, 1)
        new = (await open_run(stores)).run
        other = (await open_run(stores, "other")).run
        added = (await open_run(stores, "added", kind=RunKind.ADD)).run
        every = [added.id, other.id, new.id, old.id]
        states = frozenset({RunState.COMMITTED, RunState.CANCELLED})
        for wanted, expected in [
            (RunFilter(), every),
            (RunFilter(brand="nike"), [new.id, old.id]),
            (RunFilter(states=states), [old.id]),
            (RunFilter(states=states | {RunState.ACTIVE}), every),
            (RunFilter(brand="nike", states=frozenset({RunState.ACTIVE})), [new.id]),
            (RunFilter(kinds=frozenset({RunKind.ADD})), [added.id]),
            (RunFilter(kinds=frozenset({RunKind.ADD, RunKind.FULL})), every),
            (RunFilter(brand="nike", kinds=frozenset({RunKind.ADD})), []),
            (RunFilter(since=other.created_at), every[:2]),
            (RunFilter(until=other.created_at), every[2:]),
            (RunFilter(since=new.created_at, until=other.created_at), [new.id]),
            (RunFilter(brand="nike", until=new.created_at), [old.id]),
            (RunFilter(held=True), []),
            (RunFilter(stalled=True, held=True), []),
        ]:
            assert await listed(stores, wanted) == expected, wanted

    async def test_runs_that_wait_for_a_decision(self, stores: CommonStores) -> None:
        await committed(stores, 4)
        held = await committed(stores, 1)
        assert held.state is RunState.HELD
        await open_run(stores, "other")
        for wanted in (
            RunFilter(held=True),
            RunFilter(held=True, brand="nike"),
            RunFilter(held=True, stalled=True),
            RunFilter(held=True, states=frozenset({RunState.HELD, RunState.ACTIVE})),
        ):
            assert await listed(stores, wanted) == [held.id], wanted
        assert await listed(stores, RunFilter(held=True, states=frozenset({RunState.FAILED}))) == []

    async def test_failed_items_by_reason(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT)
        await stores.runs.settle(run_id, [failed(item) for item in items], limit=LIMIT)
        assert await stores.runs.failure_counts(run_id) == [("not_found", 3)]
        first = await stores.runs.failed_items(run_id, "not_found", after=-1, limit=2)
        assert first.next is not None
        rest = await stores.runs.failed_items(run_id, "not_found", after=first.next, limit=2)
        urls = [item.url for item in (*first.rows, *rest.rows)]
        assert (urls, rest.next) == ([item.url for item in items], None)
        assert not (await stores.runs.failed_items(run_id, "timeout", after=-1, limit=2)).rows

    async def test_pace_counts_what_settled(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        assert (await stores.runs.pace(run_id)).buckets == []
        items = await stores.runs.expect(run_id, new_items(5), cursor=None, limit=LIMIT)
        results = [failed(item) for item in items[:2]] + [done(item) for item in items[2:4]]
        await stores.runs.settle(run_id, results, limit=LIMIT)
        pace = await stores.runs.pace(run_id)
        assert (pace.each, sum(b.settled for b in pace.buckets)) == (1, 4)
        assert sum(b.failed for b in pace.buckets) == 2
        assert all(b.p50_s is not None and 0 <= b.p50_s <= (b.p95_s or 0) for b in pace.buckets)
        assert (await stores.runs.pace(uuid4())).buckets == []

    async def test_latency_is_of_items_that_were_due(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(5), cursor=None, limit=LIMIT)
        # A copy of its message settles the first before its next attempt is due.
        for item in items[:3]:
            await stores.runs.count_attempt(run_id, item.key, seen=0, delay_s=900)
        await stores.runs.settle(run_id, [done(items[0])], limit=LIMIT)
        early = await stores.runs.pace(run_id)
        assert [(b.settled, b.measured, b.p50_s, b.p95_s) for b in early.buckets] == [
            (1, 0, None, None)
        ]
        await stores.runs.settle(run_id, [done(items[3])], limit=LIMIT)
        both = await stores.runs.pace(run_id)
        assert (sum(b.settled for b in both.buckets), sum(b.measured for b in both.buckets)) == (
            2,
            1,
        )
        assert all(b.p50_s is None or b.p50_s >= 0 for b in both.buckets)
        # What the run's end settles nobody has measured, nor counted as settled if cancelled.
        await stores.runs.cancel(run_id)
        ended = await stores.runs.pace(run_id)
        assert (sum(b.settled for b in ended.buckets), sum(b.measured for b in ended.buckets)) == (
            2,
            1,
        )

    async def test_the_last_items_say_what_they_wait_for(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(4), cursor=None, limit=LIMIT)
        assert (await stores.runs.pace(run_id)).waits is None
        await stores.runs.seal(run_id)
        waits = (await stores.runs.pace(run_id)).waits
        assert waits is not None
        assert (waits.left, waits.delayed, waits.due_at) == (4, 0, None)
        await stores.runs.settle(run_id, [done(item) for item in items[:2]], limit=LIMIT)
        await stores.runs.count_attempt(
            run_id, items[2].key, seen=0, delay_s=600, detail="HTTP 500"
        )
        later = PutOff(items[3].key, 900, "https://x")
        await stores.runs.put_off(run_id, [later])
        waits = (await stores.runs.pace(run_id)).waits
        assert waits is not None
        assert (waits.left, waits.delayed, waits.attempts, waits.host) == (2, 2, 1, None)
        assert waits.detail == "HTTP 500"
        assert waits.due_at is not None
        await stores.runs.settle(run_id, [done(items[2])], limit=LIMIT)
        waits = (await stores.runs.pace(run_id)).waits
        assert waits is not None
        assert (waits.left, waits.attempts, waits.host) == (1, 0, "https://x")
        await stores.runs.settle(run_id, [done(items[3])], limit=LIMIT)
        assert (await stores.runs.pace(run_id)).waits is None

    async def test_the_deadline_measures_no_latency(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT)
        await stores.runs.expire(run_id)
        ended = await stores.runs.pace(run_id)
        assert [(b.settled, b.failed, b.measured, b.p95_s) for b in ended.buckets] == [
            (3, 3, 0, None)
        ]

    async def test_a_redrive_has_the_pace_of_its_own_items(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(4), cursor=None, limit=LIMIT)
        results = [failed(item) for item in items[:3]] + [done(items[3])]
        await stores.runs.settle(run_id, results, limit=LIMIT)
        await stores.runs.seal(run_id)
        await stores.runs.commit(run_id)
        redriven = await stores.runs.redrive_run(run_id, new_id=uuid4(), policy=POLICY)
        assert redriven.run.done == 1
        assert (await stores.runs.pace(redriven.run.id)).buckets == []

    async def test_a_redriven_run_is_opened_once_for_its_id(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT)
        await stores.runs.settle(run_id, [failed(item) for item in items], limit=LIMIT)
        await stores.runs.seal(run_id)
        await stores.runs.commit(run_id)
        new_id = uuid4()
        first = await stores.runs.redrive_run(run_id, new_id=new_id, policy=POLICY)
        again = await stores.runs.redrive_run(run_id, new_id=new_id, policy=POLICY)
        assert (first.created, again.created, again.run.id) == (True, False, new_id)

    async def test_some_reasons_of_a_committed_run_are_redriven(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(12), cursor=None, limit=LIMIT)
        reasons = [Reason.THROTTLED, Reason.TIMEOUT, Reason.NOT_FOUND, Reason.TIMEOUT]
        results = [
            ItemResult(item.key, None, reason, "")
            for item, reason in zip(items[:4], reasons, strict=True)
        ]
        results += [done(item) for item in items[4:]]
        await stores.runs.settle(run_id, results, limit=LIMIT)
        await stores.runs.seal(run_id)
        with pytest.raises(Conflict):
            await stores.runs.redrive_run(run_id, new_id=uuid4(), policy=POLICY, reasons=reasons)
        assert (await stores.runs.commit(run_id)).state is RunState.COMMITTED
        with pytest.raises(Conflict):
            await stores.runs.redrive_run(
                run_id, new_id=uuid4(), policy=POLICY, reasons=[Reason.FORBIDDEN]
            )
        opened = await stores.runs.redrive_run(
            run_id, new_id=uuid4(), policy=POLICY, reasons=[Reason.TIMEOUT]
        )
        assert (opened.run.kind, opened.run.expected) == (RunKind.ADD, 2)

    async def test_a_schedule_moves_on_once(self, stores: CommonStores) -> None:
        past = datetime.now(UTC) - timedelta(minutes=1)
        await stores.brands.put_brand(
            "nike", source="manifest:x", schedule="* * * * *", due_at=past
        )
        (due,) = await stores.brands.due_brands(limit=5)
        assert (due.name, due.due_at) == ("nike", past)
        later = past + timedelta(days=1)
        moved = [
            await stores.brands.advance_schedule("nike", seen=past, due_at=later) for _ in range(2)
        ]
        assert moved == [True, False]
        assert not await stores.brands.due_brands(limit=5)
        await stores.brands.put_brand("nike", source=None, schedule="* * * * *", due_at=past)
        assert (await stores.brands.scheduled("nike")).due_at == later, "the same schedule goes on"
        await stores.brands.put_brand("nike", source=None, schedule=None, due_at=None)
        assert (await stores.brands.scheduled("nike")).due_at is None

    async def test_ai_is_asked_for_again_and_owed(self, stores: CommonStores) -> None:
        run = await committed(stores, 1)
        await stores.ai.begin_ai("nike", run.id)
        assert (await stores.runs.request_ai("nike")).ai_state is AiState.RUNNING
        await stores.ai.finish_ai(run.id, [])
        assert (await stores.runs.request_ai("nike")).ai_state is AiState.QUEUED
        outbox_pending = await stores.runs.outbox_pending(run_id=run.id, older_s=0, limit=9)
        assert [entry.queue for entry in outbox_pending].count(AI_QUEUE) == 2
        with pytest.raises(BrandNotFound):
            await stores.runs.request_ai("nobody")
        await open_run(stores, "new")
        with pytest.raises(Conflict):
            await stores.runs.request_ai("new")

    async def test_dead_letters_are_owed_once(self, stores: CommonStores) -> None:
        headers = {"triptych-run": str(uuid4()), "triptych-reason": "x", "traceparent": "t"}
        for number, body in enumerate(({"brand": "nike"}, "text", {"brand": 5})):
            await stores.dead_letters.record(
                DeadLetter(URL_QUEUE, f"m{number}", body, headers, "why", None)
            )
        redrive = partial(stores.dead_letters.redrive_letters, ids=None, queue=None, limit=9)
        counts = await asyncio.gather(*(redrive() for _ in range(4)))
        assert sum(counts) == 2
        outbox_pending = await stores.runs.outbox_pending(run_id=None, older_s=0, limit=9)
        assert [dict(entry.message.headers) for entry in outbox_pending] == [
            {"traceparent": "t"}
        ] * 2
        letters = await stores.dead_letters.page(before=None, limit=2)
        assert letters.next == letters.rows[-1].id
        assert [kept.redriven_at is not None for kept in letters.rows] == [True, False]

    async def test_discarded_dead_letters_are_gone_and_others_stay(
        self, stores: CommonStores
    ) -> None:
        for number in range(3):
            letter = DeadLetter(URL_QUEUE, f"m{number}", {"brand": "nike"}, {}, "why", None)
            await stores.dead_letters.record(letter)
        first, second, third = (await stores.dead_letters.page(before=None, limit=9)).rows
        discard = stores.dead_letters.discard
        assert await discard([first.id, third.id, third.id, 10**9]) == 2
        assert await discard([first.id]) == 0
        assert (await stores.dead_letters.page(before=None, limit=9)).rows == [second]
        assert (await stores.dead_letters.count(limit=9)).waiting == 1
        await stores.dead_letters.record(
            DeadLetter(URL_QUEUE, "new", {"brand": "nike"}, {}, "why", None)
        )
        newest, kept = (await stores.dead_letters.page(before=None, limit=9)).rows
        assert (newest.message_id, kept) == ("new", second)

    async def test_a_run_of_an_id_is_that_run_ended_or_not(self, stores: CommonStores) -> None:
        run_id = uuid4()
        for _ in range(2):
            opened = await open_run(stores, run_id=run_id)
            assert opened.run.id == run_id
            await stores.runs.cancel(run_id)


class SnapshotsKeptContract:
    """What is said of snapshots that retention has collected."""

    async def test_a_snapshot_that_is_no_longer_kept_is_told(self, stores: Stores) -> None:
        old = await committed(stores, 3)
        new = await committed(stores, 3, content="other")
        key = (
            (await stores.snapshots.assets_slice(old.id, AssetFilter(), after=b"", limit=1))
            .rows[0]
            .key
        )
        assert await stores.retention.collect_snapshots(keep=1, min_age_s=0) == 1
        with pytest.raises(SnapshotCollected):
            await stores.snapshots.assets_slice(old.id, AssetFilter(), after=b"", limit=1)
        with pytest.raises(SnapshotCollected):
            await stores.snapshots.asset("nike", key, run_id=old.id)
        with pytest.raises(SnapshotCollected):
            await stores.snapshots.difference_slice(
                "nike", old.id, new.id, change=None, after=b"", limit=1
            )
        assert (await stores.snapshots.asset("nike", key)).run_id == new.id
        kept = await stores.snapshots.snapshots_slice("nike", before=None, limit=5)
        assert [run.id for run in kept.rows] == [new.id]
        await stores.brands.begin_deletion("nike")
        with pytest.raises(Conflict):
            await stores.brands.put_brand("nike", source=None, schedule=None, due_at=None)


class TasksContract:
    """Accepted once, done once."""

    async def test_one_claim_for_a_key_whoever_races(self, stores: Stores) -> None:
        claims = await asyncio.gather(*(stores.tasks.claim_task(asks(), **KEPT) for _ in range(6)))
        assert sorted(claim.mine for claim in claims) == [False] * 5 + [True]
        assert len({claim.task_id for claim in claims}) == 1
        assert (await stores.tasks.claim_task(asks(actor="b"), **KEPT)).mine
        assert (await stores.tasks.claim_task(asks(key=None), **KEPT)).mine
        with pytest.raises(IdempotencyKeyReused):
            await stores.tasks.claim_task(asks(fingerprint=b"g"), **KEPT)
        stale = await stores.tasks.claim_task(asks(), kept_s=3600, stale_s=0)
        assert (stale.mine, stale.task_id) == (True, claims[0].task_id)

    async def test_a_task_is_accepted_once_and_audited_once(self, stores: Stores) -> None:
        claim = await stores.tasks.claim_task(asks(), **KEPT)
        with pytest.raises(TaskNotFound):
            await stores.tasks.task(claim.task_id)
        run = await stores.runs.run((await open_run(stores)).run.id)
        audit = Audit("a", "start", "brand:nike", {"n": 1})
        accepted = [
            await stores.tasks.accept_task(
                claim.task_id, state=state, run_id=run.id, result={"x": 1}, audit=audit
            )
            for state in (TaskState.ACCEPTED, TaskState.DONE)
        ]
        assert accepted[0] == accepted[1]
        again = await stores.tasks.claim_task(asks(), **KEPT)
        assert (again.mine, again.settled) == (False, accepted[0])
        shown = await stores.tasks.task(claim.task_id)
        assert (shown.run_id, shown.state) == (run.id, TaskState.RUNNING), "where its run is"
        await stores.tasks.drop_claim(claim.task_id)
        assert (await stores.tasks.tasks_slice(before=None, limit=5)).rows == [shown]
        (kept,) = (await stores.tasks.audit_slice(before=None, limit=5)).rows
        assert Audit(kept.actor, kept.action, kept.target, kept.detail) == audit
        later = await stores.tasks.claim_task(asks(fingerprint=b"g"), kept_s=0, stale_s=60)
        assert later.mine
        await stores.tasks.drop_claim(later.task_id)
        assert await stores.tasks.old_tasks(older_s=3600, limit=5) == []
        (old,) = await stores.tasks.old_tasks(older_s=0, limit=5)
        await stores.tasks.drop_tasks([old.id])
        with pytest.raises(TaskNotFound):
            await stores.tasks.task(claim.task_id)

    async def test_work_of_a_task_is_owed_with_it_and_done_once(self, stores: Stores) -> None:
        await committed(stores)
        await stores.runs.mark_sent(
            [e.id for e in await stores.runs.outbox_pending(run_id=None, older_s=0, limit=9)]
        )
        claim = await stores.tasks.claim_task(asks(key=None), **KEPT)
        audit = Audit("a", "export", "brand:nike")
        for _ in range(2):
            await stores.tasks.accept_task(
                claim.task_id,
                state=TaskState.ACCEPTED,
                run_id=None,
                result={"format": "csv"},
                audit=audit,
                enqueue_work=True,
            )
        (outbox_pending,) = await stores.runs.outbox_pending(run_id=None, older_s=0, limit=9)
        assert (outbox_pending.queue, outbox_pending.message.body) == (AI_QUEUE, {"brand": "nike"})
        assert Headers.decode(outbox_pending.message.headers).task_id == claim.task_id
        for _ in range(2):
            begun = await stores.tasks.begin_task(claim.task_id)
            assert begun is not None
            assert (begun.state, begun.result) == (TaskState.RUNNING, {"format": "csv"})
        await stores.tasks.note_task(claim.task_id, {"assets": 3})
        assert (await stores.tasks.task(claim.task_id)).result == {"assets": 3}
        await stores.tasks.end_task(claim.task_id, TaskState.DONE, {"assets": 5})
        await stores.tasks.end_task(claim.task_id, TaskState.FAILED, {})
        ended = await stores.tasks.task(claim.task_id)
        assert (ended.state, ended.result) == (TaskState.DONE, {"assets": 5})
        assert ended.ended_at is not None
        assert await stores.tasks.begin_task(claim.task_id) is None
        assert await stores.tasks.begin_task(uuid4()) is None


class AccessContract:
    """Keys and secrets."""

    async def test_keys_live_until_they_are_revoked(self, stores: Stores) -> None:
        key = await stores.access.create_key("a", Scope.OPERATOR, b"d" * 32)
        with pytest.raises(KeyExists):
            await stores.access.create_key("a", Scope.READER, b"e" * 32)
        assert await stores.access.live_keys(limit=5) == [key]
        revoked = await stores.access.revoke_key("a")
        assert revoked.revoked_at is not None
        assert await stores.access.live_keys(limit=5) == []
        assert await stores.access.keys() == [revoked]
        with pytest.raises(KeyNotFound):
            await stores.access.revoke_key("a")

    async def test_a_key_keeps_its_limits(self, stores: Stores) -> None:
        end = datetime(2031, 1, 31, tzinfo=UTC)
        ended = datetime(2021, 1, 31, tzinfo=UTC)
        brands = frozenset({"nike", "café"})
        key = await stores.access.create_key(
            "a", Scope.READER, b"d" * 32, expires_at=end, brands=brands
        )
        assert (key.expires_at, key.brands) == (end, brands)
        past = await stores.access.create_key("b", Scope.READER, b"e" * 32, expires_at=ended)
        assert await stores.access.live_keys(limit=5) == [key, past]

    async def test_the_cursors_secret_is_long_and_stays(self, stores: Stores) -> None:
        secret = await stores.access.secret("cursor")
        assert len(secret) >= 32
        assert await stores.access.secret("cursor") == secret


class PresenceContract:
    """Which workers there are."""

    async def test_a_beat_replaces_the_one_before(self, stores: Stores) -> None:
        state = WorkerState(
            uuid4(), "h", 1, "0", ["ai"], {"q": 1}, stopping=False, started_at=datetime.now(UTC)
        )
        await stores.presence.beat(state, forget_s=60)
        later = WorkerState(
            state.id, "h", 1, "0", ["ai"], {"q": 2}, stopping=True, started_at=state.started_at
        )
        await stores.presence.beat(later, forget_s=60)
        (seen,) = await stores.presence.workers(limit=5)
        assert (seen.doing, seen.stopping) == ({"q": 2}, True)
        assert 0 <= seen.silent_s < 60
        other = WorkerState(
            uuid4(), "h", 2, "0", ["ai"], {}, stopping=False, started_at=datetime.now(UTC)
        )
        await stores.presence.beat(other, forget_s=-60)
        assert not await stores.presence.workers(limit=5), "silent ones are forgotten"
        await stores.presence.beat(state, forget_s=60)
        await stores.presence.leave(state.id)
        assert not await stores.presence.workers(limit=5)
