"""How every store makes an older snapshot of a brand the current one again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from uuid import uuid4

import msgspec
import numpy as np
import pytest

from tests.support.contracts.stores_contract import (
    LIMIT,
    POLICY,
    CommonStores,
    committed,
    done,
    new_items,
    open_run,
    restore,
)
from triptych.errors import (
    BrandNotFound,
    Conflict,
    RowLocked,
    RunActive,
    RunNotFound,
)
from triptych.messages import AI_QUEUE, GATHER_QUEUE
from triptych.model import (
    AiState,
    RunKind,
    RunState,
)
from triptych.snapshots.snapshot_store import DifferenceCounts


class RestoresContract:
    """A restore is a run without items that publishes what another one has."""

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
