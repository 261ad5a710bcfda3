"""What every store does with a run that would remove much of a brand: it holds the run."""

from __future__ import annotations

from uuid import uuid4

import msgspec
import pytest

from tests.support.contracts.stores_contract import (
    POLICY,
    CommonStores,
    committed,
    open_run,
)
from triptych.errors import (
    Conflict,
)
from triptych.model import (
    RunKind,
    RunState,
)
from triptych.runs.run_store import RunCounts


class RemovalsContract:
    """Held runs: when there are any, and how they end."""

    async def test_a_run_that_would_remove_too_much_is_held(self, stores: CommonStores) -> None:
        before = await committed(stores, 5)
        assert await stores.runs.counts() == RunCounts(stalled=0, held=0)
        held = await committed(stores, 2)
        assert await stores.runs.counts() == RunCounts(stalled=0, held=1)
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
        assert await stores.runs.counts() == RunCounts(stalled=0, held=0)
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

    async def test_a_held_run_is_overdue_after_its_time(self, stores: CommonStores) -> None:
        await committed(stores, 5)
        held = await committed(stores, 1)
        assert await stores.runs.overdue_held(older_s=3600, limit=10) == []
        assert await stores.runs.overdue_held(older_s=-1, limit=10) == [held.id]
