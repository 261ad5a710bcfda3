"""What every adapter of the port Retention must do: let go, and never of what is in use."""

from __future__ import annotations

import time
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.support.contracts.stores_contract import (
    LIMIT,
    POLICY,
    committed,
    done,
    new_items,
    open_run,
    restore,
)
from triptych.errors import BrandNotFound, Conflict, RunEnded, SnapshotCollected
from triptych.features.feature_store import Feature, FeatureKind
from triptych.model import Insight, ItemResult, Run, RunState
from triptych.wiring.stores import Stores


def put(result: ItemResult, seconds_ago: float = 0.0) -> ItemResult:
    """The result of an item whose object was put just now."""
    assert result.staged is not None
    return replace(result, staged=replace(result.staged, put_at=time.monotonic() - seconds_ago))


async def emptied(stores: Stores) -> None:
    for _ in range(100):
        runs = await stores.retention.runs_to_empty(limit=10)
        if not runs:
            return
        for run_id in runs:
            await stores.retention.empty_run(run_id, limit=3)
    raise AssertionError


async def condemned(stores: Stores) -> list[str]:
    await stores.retention.condemn_objects(grace_s=0, limit=100)
    return list(await stores.retention.condemned_objects(settled_s=0, limit=100))


async def keys_of(stores: Stores, run: Run) -> set[str]:
    return {
        asset.object_key for asset in await stores.snapshots.assets(run.id, after=None, limit=100)
    }


class RetentionContract:
    """One method, one transaction; all of them safe to repeat."""

    async def test_a_turn_is_taken_once(self, stores: Stores) -> None:
        assert await stores.retention.take_turn("a", every_s=60)
        assert not await stores.retention.take_turn("a", every_s=60)
        assert await stores.retention.take_turn("b", every_s=60)
        assert await stores.retention.take_turn("a", every_s=0)

    async def test_all_but_the_newest_snapshots_are_let_go_of(self, stores: Stores) -> None:
        runs = [await committed(stores, content=str(n)) for n in range(4)]
        assert await stores.retention.collect_snapshots(keep=2, min_age_s=3600) == 0, "too young"
        kept = await keys_of(stores, runs[3]) | await keys_of(stores, runs[2])
        assert await stores.retention.collect_snapshots(keep=2, min_age_s=0) == 2
        with pytest.raises(SnapshotCollected):
            await stores.snapshots.assets(runs[0].id, after=None, limit=10)
        await emptied(stores)
        with pytest.raises(SnapshotCollected):
            async for _ in stores.snapshots.stream_assets(runs[1].id, batch=2):
                pass
        unused = await condemned(stores)
        assert len(unused) == 10
        assert not kept & set(unused)
        assert (await stores.brands.brand("nike")).current_run == runs[3].id
        assert (await stores.runs.run(runs[0].id)).added == 5, "what a run did is remembered"

    async def test_a_snapshot_is_kept_while_it_is_restored_and_its_objects_ever_after(
        self, stores: Stores
    ) -> None:
        old, newer = await committed(stores), await committed(stores, content="other")
        objects = await keys_of(stores, old)
        run_id = (await restore(stores, old.id)).run.id
        assert await stores.retention.collect_snapshots(keep=0, min_age_s=0) == 0
        await stores.runs.seal(run_id)
        assert (await stores.runs.commit(run_id)).state is RunState.COMMITTED
        assert await stores.retention.collect_snapshots(keep=1, min_age_s=0) == 2
        await emptied(stores)
        assert not objects & set(await condemned(stores))
        assert await keys_of(stores, await stores.runs.run(run_id)) == objects
        for gone in (old.id, newer.id):
            with pytest.raises(SnapshotCollected):
                await restore(stores, gone)
            with pytest.raises(SnapshotCollected):
                await stores.snapshots.difference_counts(gone, run_id)

    async def test_a_restore_of_a_snapshot_that_was_collected_meanwhile_fails(
        self, stores: Stores
    ) -> None:
        old, newer = await committed(stores), await committed(stores)
        run_id = (await restore(stores, old.id)).run.id
        await stores.databases[0].fetch(
            "update runs set collected_at = now() where id = $1", old.id
        )
        await stores.runs.seal(run_id)
        run = await stores.runs.commit(run_id)
        assert (run.state, run.reason) == (RunState.FAILED, f"snapshot {old.id} is no longer kept")
        assert (await stores.brands.brand("nike")).current_run == newer.id

    async def test_the_current_snapshot_is_kept_although_others_are_newer(
        self, stores: Stores
    ) -> None:
        run = await committed(stores)
        opened = (await open_run(stores)).run
        await stores.runs.fail(opened.id, "source_refused")
        assert await stores.retention.collect_snapshots(keep=1, min_age_s=0) == 0
        assert await stores.retention.collect_attempts(min_age_s=3600) == 0
        assert await stores.retention.collect_attempts(min_age_s=0) == 1
        await emptied(stores)
        assert len(await stores.snapshots.assets(run.id, after=None, limit=10)) == 5
        with pytest.raises(Conflict, match="have been deleted"):
            await stores.runs.redrive_run(opened.id, new_id=uuid4(), policy=POLICY)

    async def test_g6_an_object_in_use_again_is_spared(self, stores: Stores) -> None:
        await committed(stores, content="old")
        await committed(stores, content="new")
        await stores.retention.collect_snapshots(keep=1, min_age_s=0)
        await emptied(stores)
        run = (await open_run(stores)).run
        items = await stores.runs.expect(run.id, new_items(5), cursor=None, limit=LIMIT)
        results = [put(done(item, "old")) for item in items[:2]]
        assert (await stores.runs.settle(run.id, results, limit=LIMIT)).refused == frozenset()
        assert len(await condemned(stores)) == 3, "two are staged again"

    async def test_g6_an_item_is_settled_only_while_its_object_is_kept(
        self, stores: Stores
    ) -> None:
        await committed(stores, content="old")
        await committed(stores, content="new")
        await stores.retention.collect_snapshots(keep=1, min_age_s=0)
        await emptied(stores)
        run = (await open_run(stores)).run
        (item, *_) = await stores.runs.expect(run.id, new_items(1), cursor=None, limit=LIMIT)
        unused = await condemned(stores)
        stale = put(done(item, "old"))
        settlement = await stores.runs.settle(run.id, [stale], limit=LIMIT)
        assert (settlement.refused, settlement.run.settled) == (frozenset([item.key]), 0)
        await stores.retention.objects_deleted(unused)
        settlement = await stores.runs.settle(run.id, [put(stale, 3600)], limit=LIMIT)
        assert settlement.refused == frozenset([item.key]), "put before it was deleted"
        await stores.retention.drop_tombstones(older_s=3600)
        assert (await stores.runs.settle(run.id, [put(stale, 3600)], limit=LIMIT)).refused
        await stores.retention.drop_tombstones(older_s=0)
        settlement = await stores.runs.settle(run.id, [stale], limit=LIMIT)
        assert (settlement.refused, settlement.run.done) == (frozenset(), 1)

    async def test_what_was_computed_goes_with_the_object(self, stores: Stores) -> None:
        kind = FeatureKind("text", 1)
        old = await committed(stores, content="old")
        new = await committed(stores, content="new")
        contents = [
            asset.sha256
            for run in (old, new)
            for asset in await stores.snapshots.assets(run.id, after=None, limit=10)
        ]
        assert len(contents) == 10
        await stores.features.put(kind, [Feature(sha256, {}) for sha256 in contents])
        await stores.features.put(FeatureKind("faces", 2), [Feature(contents[0], None, "broken")])
        await stores.retention.collect_snapshots(keep=1, min_age_s=0)
        await emptied(stores)
        unused = await condemned(stores)
        assert len(await stores.features.read(kind, contents)) == 10, "until the objects go"
        await stores.retention.objects_deleted(unused)
        assert set(await stores.features.read(kind, contents)) == set(contents[5:])
        assert await stores.features.read(FeatureKind("faces", 2), contents) == {}

    async def test_what_a_cancelled_run_stored_is_let_go_of(self, stores: Stores) -> None:
        run = (await open_run(stores)).run
        items = await stores.runs.expect(run.id, new_items(4), cursor=None, limit=LIMIT)
        await stores.runs.settle(run.id, [done(item) for item in items], limit=LIMIT)
        assert await condemned(stores) == []
        await stores.runs.cancel(run.id)
        assert len(await condemned(stores)) == 4

    async def test_timelines_are_dropped_when_they_are_old(self, stores: Stores) -> None:
        run = await committed(stores)
        assert await stores.retention.drop_timelines(older_s=3600, limit=100) == 0
        assert await stores.retention.drop_timelines(older_s=0, limit=3) == 3
        assert await stores.retention.drop_timelines(older_s=0, limit=100) > 0
        assert await stores.runs.timeline(run.id, after=0, limit=10) == []

    async def test_a_brand_is_deleted_with_everything_of_it(self, stores: Stores) -> None:
        with pytest.raises(BrandNotFound):
            await stores.brands.begin_deletion("nike")
        run = await committed(stores)
        await stores.ai.begin_ai("nike", run.id)
        await stores.ai.finish_ai(run.id, [Insight("x", {})])
        active = (await open_run(stores)).run
        items = await stores.runs.expect(active.id, new_items(2), cursor=None, limit=LIMIT)
        await stores.brands.begin_deletion("nike")
        with pytest.raises(Conflict, match=str(active.id)):
            await stores.retention.delete_brand("nike", limit=2)
        await stores.runs.cancel(active.id)
        with pytest.raises(Conflict, match="being deleted"):
            await open_run(stores)
        with pytest.raises(RunEnded):
            await stores.runs.settle(active.id, [done(items[0])], limit=LIMIT)
        rounds = 0
        while not await stores.retention.delete_brand("nike", limit=2):
            rounds += 1
            assert rounds < 20
        with pytest.raises(BrandNotFound):
            await stores.brands.brand("nike")
        assert await stores.runs.runs(None, limit=10) == []
        assert not await stores.runs.outbox_pending(run_id=None, older_s=0, limit=10)
        assert len(await condemned(stores)) == 5
        again = (await open_run(stores)).run
        assert again.state is RunState.ACTIVE
