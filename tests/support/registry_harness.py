"""What the fault tests stand on: the real database, queues and registry, and a fuse in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from tests.support.barrier_machine import Fuse, result
from tests.support.sealing import KEYS
from triptych.database.session import Database
from triptych.gather.source import Page, Row
from triptych.live.watch import watch
from triptych.messages import URL_QUEUE, Delivery
from triptych.model import Policy, Run, RunState
from triptych.queues.pgmq import PgmqQueue
from triptych.runs.dispatch_window import DispatchWindow
from triptych.runs.registry import ActiveBrandRegistry
from triptych.wiring.stores import Stores, postgres_stores

POLICY = Policy(tolerated_failures=0.5, max_attempts=3, deadline_s=3600)
HIDDEN_S = 3600.0
"""Long enough that no message comes back by itself within a test."""
WINDOW = 500


@dataclass
class RegistryHarness:
    """The spine without its edges: no fetching, no embedding."""

    database: Database
    stores: Stores
    queue: PgmqQueue
    registry: ActiveBrandRegistry
    fuse: Fuse = field(default_factory=Fuse)

    async def take(self, queue: str, limit: int = 100) -> Sequence[Delivery]:
        """Receive what is visible, now."""
        return await self.queue.receive(queue, limit=limit, visibility_s=HIDDEN_S, wait_s=0)

    async def settle(self, deliveries: Sequence[Delivery], *, good: bool = True) -> None:
        """Settle deliveries of one run as a worker would, without deleting them."""
        run_id = UUID(deliveries[0].headers["triptych-run"])
        await self.registry.settle(run_id, [result(d, good) for d in deliveries])

    async def finish(self, run_id: UUID) -> Run:
        """Settle and delete whatever is out until nothing is; return the run."""
        while deliveries := await self.take(URL_QUEUE):
            mine = [d for d in deliveries if d.headers["triptych-run"] == str(run_id)]
            if mine:
                await self.settle(mine)
            await self.queue.delete(deliveries)
        return await self.stores.runs.run(run_id)

    async def ended(self, run_id: UUID) -> Run:
        """Wait until nothing more will happen to a run."""
        async for run in watch(self.stores.runs, self.stores.changes, run_id):
            last = run
        return last

    async def until_committed(self, run_id: UUID) -> Run:
        """Wait for a run's commit or failure, not for the AI phase behind it."""
        async for run in watch(self.stores.runs, self.stores.changes, run_id):
            if run.state is not RunState.ACTIVE:
                break
        return run

    async def kinds(self, run_id: UUID) -> Counter[str]:
        """Count the run's timeline by kind."""
        events = await self.stores.runs.timeline(run_id, after=0, limit=10_000)
        return Counter(event.kind for event in events)

    async def waiting(self, queue: str) -> int:
        """Messages in a queue, hidden ones included."""
        depths = {depth.queue: depth for depth in await self.queue.depths()}
        found = depths[queue]
        return found.waiting + found.in_flight + found.delayed

    async def age(self, *, minutes: float) -> None:
        """Let time pass in which nothing happens."""
        by = timedelta(minutes=minutes)
        await self.database.fetch(
            "update runs set progressed_at = progressed_at - $1::interval,"
            " expected_at = expected_at - $1::interval where state = 'active'",
            by,
        )
        await self.database.fetch(
            "update items set sent_at = sent_at - $1::interval,"
            " tried_at = tried_at - $1::interval, due_at = due_at - $1::interval",
            by,
        )

    async def sweep(self) -> None:
        """Sweep as if the last hour had passed without anything happening."""
        await self.age(minutes=60)
        await self.sweep_due()

    async def sweep_due(self) -> None:
        """Sweep."""
        await self.registry.sweep(idle_s=1, quiet_s=1, resend_s=1, owed_s=0)


@asynccontextmanager
async def open_registry_harness(
    dsn: str, *, window: int = WINDOW, max_receives: int = 10, policy: Policy = POLICY
) -> AsyncIterator[RegistryHarness]:
    fuse = Fuse()
    database = Database(dsn, hook=fuse)
    stores = postgres_stores(database, run_cap_s=HIDDEN_S, keys=KEYS)
    queue = PgmqQueue(database, max_receives=max_receives)
    registry = ActiveBrandRegistry(
        stores.runs,
        stores.brands,
        stores.dead_letters,
        queue,
        window=DispatchWindow(window),
        policy=policy,
    )
    try:
        yield RegistryHarness(database, stores, queue, registry, fuse)
    finally:
        fuse.left = None
        await queue.close()
        await stores.close()


class Listing:
    """A source that lists numbered URLs page by page and can die behind any page."""

    def __init__(self, urls: int, *, page: int = 10, dies_behind: int | None = None) -> None:
        self.urls = urls
        self.page = page
        self.dies_behind = dies_behind
        self.asked: list[str | None] = []

    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        self.asked.append(cursor)
        start = int(cursor or 0)
        while True:
            if self.dies_behind is not None and start >= self.dies_behind:
                self.dies_behind = None
                raise Died
            end = min(start + self.page, self.urls)
            rows = [Row(f"https://{brand}.example/{n}", {"n": n}) for n in range(start, end)]
            yield Page(rows, str(end) if end < self.urls else None)
            if end >= self.urls:
                return
            start = end


class Died(BaseException):
    """The process ends here."""
