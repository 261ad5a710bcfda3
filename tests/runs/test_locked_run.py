"""A process that is frozen, or lost, in a run's transaction holds up that run and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from tests.support.barrier_machine import result
from tests.support.registry_harness import RegistryHarness, open_registry_harness
from triptych.database import session
from triptych.errors import RowLocked
from triptych.gather.phase import new_item
from triptych.gather.source import Row
from triptych.messages import URL_QUEUE, Delivery
from triptych.model import NewItem, RunKind, RunState
from triptych.runs.run_store import COMMIT_GRACE_S
from triptych.settings.settings import Settings

PATIENCE_S = 60.0
COPIES = 200
"""More redelivered messages than connections."""


@pytest.fixture
async def harness(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RegistryHarness]:
    """What waits for a lock waits for a second."""
    monkeypatch.setitem(session._SESSION, "lock_timeout", "1s")
    async with open_registry_harness(migrated_dsn) as opened:
        yield opened


@pytest.fixture
async def frozen(migrated_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A session that nobody ends: what is left of a process that was frozen in a transaction."""
    connection = await asyncpg.connect(migrated_dsn)
    yield connection
    await connection.close()


@asynccontextmanager
async def in_commit(frozen: asyncpg.Connection, run_id: UUID) -> AsyncIterator[None]:
    """Hold what a commit locks first."""
    async with frozen.transaction():
        await frozen.execute("select from runs where id = $1 for no key update", run_id)
        yield


def page(brand: str, urls: int = 20) -> list[NewItem]:
    return [new_item(Row(f"https://{brand}.example/{n}", {})) for n in range(urls)]


async def settled(harness: RegistryHarness, brand: str) -> tuple[UUID, Sequence[Delivery]]:
    """Settle every item of a run without the commit; return it and its messages."""
    opened = await harness.stores.runs.open_run(
        brand,
        run_id=UUID(int=1),
        kind=RunKind.FULL,
        source=None,
        policy=Settings.load().policy,
        enqueue_gather_message=False,
    )
    run_id = opened.run.id
    await harness.registry.expect(run_id, page(brand), cursor=None)
    await harness.registry.seal(run_id)
    deliveries = await harness.take(URL_QUEUE)
    outcomes = [result(delivery, True) for delivery in deliveries]
    await harness.stores.runs.settle(run_id, outcomes, limit=0)
    return run_id, deliveries


async def test_redelivered_messages_do_not_wait_for_a_commit(
    harness: RegistryHarness, frozen: asyncpg.Connection
) -> None:
    run_id, _ = await settled(harness, "nike")
    async with asyncio.timeout(PATIENCE_S):
        async with in_commit(frozen, run_id):
            await asyncio.gather(*(harness.registry.finish(run_id) for _ in range(COPIES)))
            assert (await harness.stores.runs.run(run_id)).state is RunState.ACTIVE
        await harness.registry.finish(run_id)
        assert (await harness.stores.runs.run(run_id)).state is RunState.COMMITTED


async def test_the_last_flush_leaves_a_locked_commit_to_a_sweep(
    harness: RegistryHarness, frozen: asyncpg.Connection
) -> None:
    run_id, deliveries = await settled(harness, "nike")
    await harness.age(minutes=1)  # A sweep leaves what is new to the flushes.
    async with asyncio.timeout(PATIENCE_S):
        async with in_commit(frozen, run_id):
            await harness.settle(deliveries)
            await harness.sweep_due()
            assert (await harness.stores.runs.run(run_id)).state is RunState.ACTIVE
        await harness.sweep_due()
    assert (await harness.stores.runs.run(run_id)).state is RunState.COMMITTED


async def test_other_brands_work_while_messages_of_a_locked_brand_keep_coming(
    harness: RegistryHarness, frozen: asyncpg.Connection
) -> None:
    run_id, _ = await settled(harness, "nike")

    async def accept(number: int) -> None:
        url = f"https://nike.example/new/{number}"
        delivery = Delivery(URL_QUEUE, str(number), str(number), {}, {}, 1)
        with pytest.raises(RowLocked, match="Try again in a moment"):
            await harness.registry.accept_external("nike", new_item(Row(url, {})), delivery)

    async with asyncio.timeout(PATIENCE_S), in_commit(frozen, run_id):
        waiting = [asyncio.create_task(accept(number)) for number in range(COPIES)]
        other = await harness.registry.open("adidas")
        await harness.registry.expect(other.run.id, page("adidas"), cursor=None)
        await harness.registry.seal(other.run.id)
        assert (await harness.finish(other.run.id)).state is RunState.COMMITTED
        await asyncio.gather(*waiting)


async def test_a_sweep_passes_over_a_locked_brand(
    harness: RegistryHarness, frozen: asyncpg.Connection
) -> None:
    """A due schedule of a brand that is locked, and work of other brands that comes after it."""
    run_id, _ = await settled(harness, "nike")
    await harness.registry.schedule("adidas", source=None, schedule="* * * * *")
    await harness.registry.schedule("nike", source=None, schedule="* * * * *")
    await harness.age(minutes=1)  # A sweep leaves what is new to the flushes.
    await frozen.execute("update brands set due_at = now() - make_interval(mins => length(name))")
    async with asyncio.timeout(PATIENCE_S), frozen.transaction():
        await frozen.execute("select from brands where name = 'nike' for update")
        await frozen.execute("select from runs where id = $1 for no key update", run_id)
        await harness.sweep_due()
        (run,) = await harness.stores.runs.runs("adidas", limit=2)
        assert run.state is RunState.ACTIVE
        assert await harness.waiting("brand-gather-queue") == 1


async def test_a_transaction_whose_process_is_frozen_ends_by_itself(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server does about a session of ours that stays silent, in a shorter time."""
    monkeypatch.setitem(session._SESSION, "idle_in_transaction_session_timeout", "1s")
    async with open_registry_harness(migrated_dsn) as harness, asyncio.timeout(PATIENCE_S):
        run_id, _ = await settled(harness, "nike")
        async with harness.database.connection() as frozen:
            await frozen.execute("begin")
            await frozen.execute("select from runs where id = $1 for no key update", run_id)
            await harness.registry.commit(run_id)
        assert (await harness.stores.runs.run(run_id)).state is RunState.COMMITTED


def test_a_lost_process_holds_no_lock_when_its_messages_come_again() -> None:
    settings = Settings.load()
    assert session.LOCK_TIMEOUT_S < session.IDLE_TRANSACTION_S < settings.visibility_s
    assert session.IDLE_TRANSACTION_S < session.COMMAND_TIMEOUT_S
    assert COMMIT_GRACE_S < session.IDLE_TRANSACTION_S
