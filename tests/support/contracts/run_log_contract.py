"""What every store logs and counts of runs: each event once, by whom it was decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from structlog.testing import capture_logs

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
from triptych.model import RunState
from triptych.telemetry.metrics import REGISTRY

STATES = [state.value for state in RunState if state is not RunState.ACTIVE]

Found = list[tuple[str, str]]


def counted() -> Counter[str]:
    """Return how many runs have ended in each state, and how many commits were measured."""
    found = {
        state: REGISTRY.get_sample_value("triptych_runs_total", {"state": state}) or 0
        for state in STATES
    }
    found["assets"] = REGISTRY.get_sample_value("triptych_commit_assets_count") or 0
    return Counter({name: int(value) for name, value in found.items()})


@contextmanager
def lines_of(run_id: UUID) -> Iterator[Found]:
    """Fill the list with the run's events, and the state of an end, when the block is over."""
    found: Found = []
    with capture_logs() as lines:
        yield found
    mine: list[Any] = [line for line in lines if line.get("run") == str(run_id)]
    found += [(line["event"], line.get("state", "")) for line in mine]


class RunLogContract:
    """A line for each run opened, sealed and ended, whatever opened or ended it."""

    async def test_a_repeated_commit_is_logged_and_counted_once(self, stores: CommonStores) -> None:
        run_id, before = uuid4(), counted()
        with lines_of(run_id) as found:
            await open_run(stores, run_id=run_id)
            await open_run(stores, run_id=run_id)
            items = await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT)
            for _ in range(2):
                await stores.runs.seal(run_id)
            await stores.runs.settle(run_id, [done(item) for item in items], limit=LIMIT)
            for _ in range(2):
                await stores.runs.commit(run_id)
            await stores.runs.cancel(run_id)
        assert found == [("run_opened", ""), ("run_sealed", ""), ("run_ended", "committed")]
        assert counted() - before == Counter(committed=1, assets=1)

    async def test_cancelled_and_failed_runs_are_logged_once(self, stores: CommonStores) -> None:
        cancelled, broken, late = uuid4(), uuid4(), uuid4()
        before = counted()
        with lines_of(cancelled) as found:
            await open_run(stores, run_id=cancelled)
            for _ in range(2):
                await stores.runs.cancel(cancelled)
        assert found == [("run_opened", ""), ("run_ended", "cancelled")]
        with lines_of(broken) as found:
            await open_run(stores, run_id=broken)
            for _ in range(2):
                await stores.runs.fail(broken, "why")
        assert found == [("run_opened", ""), ("run_ended", "failed")]
        with lines_of(late) as found:
            await open_run(stores, run_id=late)
            for _ in range(2):
                await stores.runs.expire(late)
        assert found == [("run_opened", ""), ("run_ended", "failed")]
        assert counted() - before == Counter(cancelled=1, failed=2)

    async def test_held_runs_end_again_when_they_are_decided_on(self, stores: CommonStores) -> None:
        await committed(stores, 5)
        with capture_logs() as lines:
            published = await stores.runs.publish((await committed(stores, 1)).id)
            await stores.runs.discard((await committed(stores, 0)).id, "a wish")
            superseded = (await committed(stores, 0)).id
            await open_run(stores)
        ends = [
            (line["run"] == str(published.id), line["run"] == str(superseded), line["state"])
            for line in lines
            if line["event"] == "run_ended"
        ]
        assert ends == [
            (True, False, "held"),
            (True, False, "committed"),
            (False, False, "held"),
            (False, False, "cancelled"),
            (False, True, "held"),
            (False, True, "cancelled"),
        ]

    async def test_redrives_and_runs_of_messages_are_logged(self, stores: CommonStores) -> None:
        old, new, added = uuid4(), uuid4(), uuid4()
        await open_run(stores, run_id=old)
        items = await stores.runs.expect(old, new_items(2), cursor=None, limit=LIMIT)
        await stores.runs.seal(old)
        results = [done(items[0]), failed(items[1])]
        await stores.runs.settle(old, results, limit=LIMIT)
        await stores.runs.commit(old)
        with lines_of(new) as found:
            for _ in range(2):
                await stores.runs.redrive_run(old, new_id=new, policy=POLICY)
        assert found == [("run_opened", ""), ("run_sealed", "")]
        with lines_of(added) as found:
            for message in ("a/1", "a/2"):
                (item,) = new_items(1)
                await stores.runs.accept_external(
                    "adidas", item, message_id=message, run_id=added, policy=POLICY
                )
        assert found == [("run_opened", "")]
