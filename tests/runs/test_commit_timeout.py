"""A commit has as long as its rows need: a fixed deadline would let no large brand commit."""

from __future__ import annotations

import pytest

from tests.support.contracts.stores_contract import done, new_items, open_run
from tests.support.registry_harness import open_registry_harness
from triptych.database.session import COMMIT_TIMEOUT_S
from triptych.model import RunState
from triptych.runs.postgres import commit
from triptych.runs.postgres.commit import COMMIT_ROWS_S, commit_timeout_s
from triptych.wiring.stores import Stores


def test_small_commits_have_the_time_that_all_statements_of_a_commit_have() -> None:
    assert commit_timeout_s(0) == commit_timeout_s(1_000_000) == COMMIT_TIMEOUT_S


def test_large_commits_have_more() -> None:
    assert commit_timeout_s(10_000_000) == 10_000_000 / COMMIT_ROWS_S > COMMIT_TIMEOUT_S


async def fill(stores: Stores, urls: int) -> RunState:
    run_id = (await open_run(stores)).run.id
    items = await stores.runs.expect(run_id, new_items(urls), cursor=None, limit=100)
    await stores.runs.seal(run_id)
    await stores.runs.settle(run_id, [done(item) for item in items], limit=100)
    return (await stores.runs.commit(run_id)).state


@pytest.mark.integration
async def test_a_run_commits_within_what_its_rows_and_those_before_allow(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def timeout_s(rows: int) -> float:
        asked.append(rows)
        return commit_timeout_s(rows)

    monkeypatch.setattr(commit, "COMMIT_TIMEOUT_S", 1e-9)
    monkeypatch.setattr(commit, "commit_timeout_s", timeout_s)
    monkeypatch.setattr(commit, "COMMIT_ROWS_S", 0.001)
    async with open_registry_harness(migrated_dsn) as harness:
        assert await fill(harness.stores, 3) is RunState.COMMITTED
        assert set(asked) == {3}
        asked.clear()
        assert await fill(harness.stores, 2) is RunState.COMMITTED
        assert set(asked) == {2 + 3}
