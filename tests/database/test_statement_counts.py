"""How often the database is asked for each item: counted, so the same on any machine."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.data_folder import provide
from triptych.acquire.phase import Acquire
from triptych.database.session import Database
from triptych.model import Item, ItemResult, RunState, Staged
from triptych.settings.settings import Settings
from triptych.wiring.local import open_local

pytestmark = pytest.mark.integration

ITEMS = 1_000
PATIENCE_S = 120.0
ASKED_MAX = 0.3
"""Times that the database is asked for one item, transactions as one. Full batches of a hundred
take a tenth; when small flushes came to queue for the run's row it was 1.7."""


def nothing(_self: Acquire, item: Item) -> Awaitable[ItemResult]:
    staged = Staged(b"\x01" * 32, "sha256/none", "image/jpeg", 1, None, None, None, None, None)

    async def result() -> ItemResult:
        return ItemResult(item.key, staged)

    return result()


async def test_items_go_through_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()

    def counted(name: str, kind: str, real: Callable[..., Awaitable[object]]) -> None:
        async def call(self: Database, *args: object, **named: object) -> object:
            asked[kind] += 1
            return await real(self, *args, **named)

        monkeypatch.setattr(Database, name, call)

    counted("transact", "transactions", Database.transact)
    counted("fetch", "statements", Database.fetch)
    monkeypatch.setattr(Acquire, "_result", nothing)
    urls = tmp_path / "urls.csv"
    urls.write_text("\n".join(["url", *(f"https://bench.example/{n}" for n in range(ITEMS))]))
    await asyncio.to_thread(provide, tmp_path / "data")
    # What is done by the clock would count as well: none of it is due meanwhile.
    settings = Settings.load(data=tmp_path / "data", embedder="none", sweep_s=60.0)
    async with open_local(settings) as local, asyncio.timeout(PATIENCE_S):
        before = asked.total()
        opened = await local.submit("costs", source=f"manifest:{urls}")
        async with local.stores.changes.changes() as changed:
            run = await local.stores.runs.run(opened.id)
            while run.state is RunState.ACTIVE:
                await anext(changed)
                run = await local.stores.runs.run(opened.id)
        spent = asked.total() - before
    assert (run.state, run.done) == (RunState.COMMITTED, ITEMS)
    assert spent / ITEMS < ASKED_MAX, asked
