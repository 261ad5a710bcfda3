"""What every adapter of the port Retention must do: let go, and never of what is in use."""

from __future__ import annotations

import time
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.contract.catalogue_contract import (
    LIMIT,
    POLICY,
    committed,
    done,
    new_items,
    open_run,
)
from triptych.errors import BrandNotFound, Conflict, RunEnded, SnapshotCollected
from triptych.model import Insight, ItemResult, Run, RunState
from triptych.ports import Catalogue


def put(result: ItemResult, seconds_ago: float = 0.0) -> ItemResult:
    """The result of an item whose object was put just now."""
    assert result.staged is not None
    return replace(result, staged=replace(result.staged, put_at=time.monotonic() - seconds_ago))


async def emptied(catalogue: Catalogue) -> None:
    for _ in range(100):
        runs = await catalogue.runs_to_empty(limit=10)
        if not runs:
            return
        for run_id in runs:
            await catalogue.empty_run(run_id, limit=3)
    raise AssertionError


async def condemned(catalogue: Catalogue) -> list[str]:
    await catalogue.condemn_objects(grace_s=0, limit=100)
    return list(await catalogue.condemned_objects(settled_s=0, limit=100))


async def keys_of(catalogue: Catalogue, run: Run) -> set[str]:
    return {asset.object_key for asset in await catalogue.assets(run.id, after=None, limit=100)}


class RetentionContract:
    """One method, one transaction; all of them safe to repeat."""

    async def test_a_turn_is_taken_once(self, catalogue: Catalogue) -> None:
        assert await catalogue.take_turn("a", every_s=60)
        assert not await catalogue.take_turn("a", every_s=60)
        assert await catalogue.take_turn("b", every_s=60)
        assert await catalogue.take_turn("a", every_s=0)

    async def test_all_but_the_newest_snapshots_are_let_go_of(self, catalogue: Catalogue) -> None:
        runs = [await committed(catalogue, content=str(n)) for n in range(4)]
        assert await catalogue.collect_snapshots(keep=2, min_age_s=3600) == 0, "too young"
        kept = await keys_of(catalogue, runs[3]) | await keys_of(catalogue, runs[2])
        assert await catalogue.collect_snapshots(keep=2, min_age_s=0) == 2
        with pytest.raises(SnapshotCollected):
            await catalogue.assets(runs[0].id, after=None, limit=10)
        await emptied(catalogue)
        with pytest.raises(SnapshotCollected):
            async for _ in catalogue.stream_assets(runs[1].id, batch=2):
                pass
        unused = await condemned(catalogue)
        assert len(unused) == 10
        assert not kept & set(unused)
        assert (await catalogue.brand("nike")).current_run == runs[3].id
        assert (await catalogue.run(runs[0].id)).added == 5, "what a run did is remembered"

    async def test_the_current_snapshot_is_kept_although_others_are_newer(
        self, catalogue: Catalogue
    ) -> None:
        run = await committed(catalogue)
        opened = (await open_run(catalogue)).run
        await catalogue.fail(opened.id, "source_refused")
        assert await catalogue.collect_snapshots(keep=1, min_age_s=0) == 0
        assert await catalogue.collect_attempts(min_age_s=3600) == 0
        assert await catalogue.collect_attempts(min_age_s=0) == 1
        await emptied(catalogue)
        assert len(await catalogue.assets(run.id, after=None, limit=10)) == 5
        with pytest.raises(Conflict, match="let go of"):
            await catalogue.redrive_run(opened.id, new_id=uuid4(), policy=POLICY)

    async def test_g6_an_object_in_use_again_is_spared(self, catalogue: Catalogue) -> None:
        await committed(catalogue, content="old")
        await committed(catalogue, content="new")
        await catalogue.collect_snapshots(keep=1, min_age_s=0)
        await emptied(catalogue)
        run = (await open_run(catalogue)).run
        items = await catalogue.expect(run.id, new_items(5), cursor=None, limit=LIMIT)
        results = [put(done(item, "old")) for item in items[:2]]
        assert (await catalogue.settle(run.id, results, limit=LIMIT)).refused == frozenset()
        assert len(await condemned(catalogue)) == 3, "two are staged again"

    async def test_g6_what_is_condemned_or_deleted_is_not_settled_before_it_was_put_again(
        self, catalogue: Catalogue
    ) -> None:
        await committed(catalogue, content="old")
        await committed(catalogue, content="new")
        await catalogue.collect_snapshots(keep=1, min_age_s=0)
        await emptied(catalogue)
        run = (await open_run(catalogue)).run
        (item, *_) = await catalogue.expect(run.id, new_items(1), cursor=None, limit=LIMIT)
        unused = await condemned(catalogue)
        stale = put(done(item, "old"))
        settlement = await catalogue.settle(run.id, [stale], limit=LIMIT)
        assert (settlement.refused, settlement.run.settled) == (frozenset([item.key]), 0)
        await catalogue.objects_deleted(unused)
        settlement = await catalogue.settle(run.id, [put(stale, 3600)], limit=LIMIT)
        assert settlement.refused == frozenset([item.key]), "put before it was deleted"
        await catalogue.drop_tombstones(older_s=3600)
        assert (await catalogue.settle(run.id, [put(stale, 3600)], limit=LIMIT)).refused
        await catalogue.drop_tombstones(older_s=0)
        settlement = await catalogue.settle(run.id, [stale], limit=LIMIT)
        assert (settlement.refused, settlement.run.done) == (frozenset(), 1)

    async def test_what_a_cancelled_run_stored_is_let_go_of(self, catalogue: Catalogue) -> None:
        run = (await open_run(catalogue)).run
        items = await catalogue.expect(run.id, new_items(4), cursor=None, limit=LIMIT)
        await catalogue.settle(run.id, [done(item) for item in items], limit=LIMIT)
        assert await condemned(catalogue) == []
        await catalogue.cancel(run.id)
        assert len(await condemned(catalogue)) == 4

    async def test_timelines_are_dropped_when_they_are_old(self, catalogue: Catalogue) -> None:
        run = await committed(catalogue)
        assert await catalogue.drop_timelines(older_s=3600, limit=100) == 0
        assert await catalogue.drop_timelines(older_s=0, limit=3) == 3
        assert await catalogue.drop_timelines(older_s=0, limit=100) > 0
        assert await catalogue.timeline(run.id, after=0, limit=10) == []

    async def test_a_brand_is_deleted_with_everything_of_it(self, catalogue: Catalogue) -> None:
        with pytest.raises(BrandNotFound):
            await catalogue.begin_deletion("nike")
        run = await committed(catalogue)
        await catalogue.begin_ai("nike", run.id)
        await catalogue.finish_ai(run.id, [Insight("x", {})])
        active = (await open_run(catalogue)).run
        items = await catalogue.expect(active.id, new_items(2), cursor=None, limit=LIMIT)
        await catalogue.begin_deletion("nike")
        with pytest.raises(Conflict, match=str(active.id)):
            await catalogue.delete_brand("nike", limit=2)
        await catalogue.cancel(active.id)
        with pytest.raises(Conflict, match="being deleted"):
            await open_run(catalogue)
        with pytest.raises(RunEnded):
            await catalogue.settle(active.id, [done(items[0])], limit=LIMIT)
        rounds = 0
        while not await catalogue.delete_brand("nike", limit=2):
            rounds += 1
            assert rounds < 20
        with pytest.raises(BrandNotFound):
            await catalogue.brand("nike")
        assert await catalogue.runs(None, limit=10) == []
        assert not await catalogue.owed(run_id=None, older_s=0, limit=10)
        assert len(await condemned(catalogue)) == 5
        again = (await open_run(catalogue)).run
        assert again.state is RunState.ACTIVE
