"""The barrier's state machine: any interleaving of any operation, crashes between any statements.

The database, the queues and the registry are the real ones. A crash is an exception in place of
the next statement (or of COMMIT's answer): the transaction is gone or stands, exactly as after
``kill -9``, and nobody cleans up.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from uuid import UUID, uuid4

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from triptych.database.session import Database
from triptych.errors import Conflict, RunEnded, RunNotFound
from triptych.gather.urls import item_key
from triptych.messages import AI_QUEUE, GATHER_QUEUE, URL_QUEUE, Delivery, Headers
from triptych.model import (
    ItemResult,
    NewItem,
    Policy,
    Reason,
    Run,
    RunKind,
    RunState,
    Staged,
)
from triptych.queues.pgmq import PgmqQueue
from triptych.runs.dispatch_window import DispatchWindow
from triptych.runs.registry import ActiveBrandRegistry
from triptych.wiring.stores import postgres_stores

WINDOW = 4
URLS = [f"https://example.com/{number}" for number in range(12)]
POLICY = Policy(tolerated_failures=0.5, max_attempts=3, deadline_s=3600)
LONG_S = 3600.0
DRAIN_STEPS = 200

T = TypeVar("T")


class Crash(BaseException):
    """The process dies here. No ``except Exception`` survives it, as none survives SIGKILL."""


class Fuse:
    """Burns down by one with each statement and raises `Crash` when it is at its end."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.watch: Callable[[str], None] | None = None
        """Called with each statement's name as well; it may raise `Crash` itself."""

    def __call__(self, statement: str) -> None:
        if self.watch is not None:
            self.watch(statement)
        if self.left is None:
            return
        if self.left == 0:
            self.left = None
            raise Crash(statement)
        self.left -= 1


def staged(url: str) -> Staged:
    digest = hashlib.sha256(url.encode()).digest()
    embedding = np.full(4, 0.5, np.float32)
    return Staged(digest, f"sha256/{digest.hex()}", "image/png", 1, 1, 1, 0, embedding, "m")


def result(delivery: Delivery, good: bool) -> ItemResult:
    key = Headers.decode(delivery.headers).item_key
    assert key is not None
    if good:
        return ItemResult(key, staged(delivery.body["url"]))
    return ItemResult(key, None, Reason.NOT_FOUND, "404")


crashes = st.none() | st.integers(0, 14)


class BarrierMachine(RuleBasedStateMachine):
    """One brand, any number of runs one after the other."""

    dsn: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.fuse = Fuse()
        self.database = Database(self.dsn, pool_max=2, hook=self.fuse)
        self.stores = postgres_stores(self.database, run_cap_s=LONG_S)
        self.queue = PgmqQueue(self.database, max_receives=1000)
        self.registry = ActiveBrandRegistry(
            self.stores.runs,
            self.stores.brands,
            self.stores.dead_letters,
            self.queue,
            window=DispatchWindow(WINDOW),
            policy=POLICY,
        )
        self.brand = f"brand-{uuid4().hex[:8]}"
        self.held: list[Delivery] = []
        self.run_ids: list[UUID] = []
        self.versions: dict[UUID, int] = {}
        self.snapshot: UUID | None = None
        self.run(self.purge())

    # --- plumbing ---

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def crashing(self, after: int | None, work: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
        """Do ``work``; die before its ``after``-th statement. None if it died or was refused."""
        self.fuse.left = after
        try:
            return self.run(work())
        except (Crash, RunEnded, RunNotFound, Conflict):
            return None
        finally:
            self.fuse.left = None

    async def purge(self) -> None:
        """Empty the queues: another example's messages are not ours."""
        for queue in (GATHER_QUEUE, URL_QUEUE, AI_QUEUE):
            await self.database.fetch("select pgmq.purge_queue($1)", queue)

    async def active(self) -> Run | None:
        newest = await self.stores.runs.runs(self.brand, limit=1)
        if newest and newest[0].id not in self.run_ids:
            self.run_ids.append(newest[0].id)
        return newest[0] if newest and newest[0].state is RunState.ACTIVE else None

    def on_active(self, after: int | None, work: Callable[[UUID], Awaitable[Any]]) -> None:
        active = self.run(self.active())
        if active is None:
            return

        async def do() -> None:
            await work(active.id)

        self.crashing(after, do)

    # --- operations ---

    @rule(after=crashes)
    def open(self, after: int | None) -> None:
        self.crashing(after, lambda: self.registry.open(self.brand))

    @rule(urls=st.lists(st.sampled_from(URLS), max_size=6), refuse=st.booleans(), after=crashes)
    def expect(self, urls: list[str], refuse: bool, after: int | None) -> None:
        items = [NewItem(item_key(url), url, {}) for url in urls]
        if refuse:
            items.append(NewItem(b"r" * 16, "ftp://no", {}, Reason.INVALID_URL, "no"))
        self.on_active(after, lambda run: self.registry.expect(run, items, cursor="next"))

    @rule(after=crashes)
    def seal(self, after: int | None) -> None:
        self.on_active(after, self.registry.seal)

    @rule(limit=st.integers(1, 6))
    def receive(self, limit: int) -> None:
        found = self.run(self.queue.receive(URL_QUEUE, limit=limit, visibility_s=LONG_S, wait_s=0))
        self.held += found

    @precondition(lambda self: self.held)
    @rule(data=st.data(), ack=st.booleans(), after=crashes)
    def settle(self, data: st.DataObject, ack: bool, after: int | None) -> None:
        """Flush some of what is held, of one run; sometimes die before it is deleted."""
        run_id = Headers.decode(data.draw(st.sampled_from(self.held)).headers).run_id
        assert run_id is not None
        batch = [d for d in self.held if Headers.decode(d.headers).run_id == run_id]
        batch = batch[: data.draw(st.integers(1, len(batch)))]
        results = [result(d, data.draw(st.booleans(), label="good")) for d in batch]

        async def flush() -> bool:
            with contextlib.suppress(RunEnded, RunNotFound):  # Late: acked all the same.
                await self.registry.settle(run_id, results)
            if ack:
                await self.queue.delete(batch)
            return ack

        if self.crashing(after, flush):
            self.held = [d for d in self.held if d not in batch]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def redeliver(self, data: st.DataObject) -> None:
        """The visibility timeout of some held messages passes; their holder keeps them too."""
        chosen = data.draw(st.lists(st.sampled_from(self.held), max_size=3))
        self.run(self.queue.extend(chosen, 0))

    @rule(after=crashes)
    def pause(self, after: int | None) -> None:
        self.on_active(after, self.registry.pause)

    @rule(after=crashes)
    def resume(self, after: int | None) -> None:
        self.on_active(after, self.registry.resume)

    @rule(after=crashes)
    def cancel(self, after: int | None) -> None:
        self.on_active(after, self.registry.cancel)

    @rule(after=crashes)
    def gather_dies(self, after: int | None) -> None:
        self.on_active(after, lambda run: self.registry.fail(run, "gather_dead_lettered"))

    @rule(url=st.sampled_from(URLS), number=st.integers(0, 3), after=crashes)
    def stranger(self, url: str, number: int, after: int | None) -> None:
        """A message without headers, delivered once or again."""
        delivery = Delivery(URL_QUEUE, f"{self.brand}-{number}", "0", {"url": url}, {}, 1)
        item = NewItem(item_key(url), url, {})

        async def accept_external() -> None:
            adopted = await self.registry.accept_external(self.brand, item, delivery)
            if adopted is not None:
                await self.registry.settle(adopted.run_id, [ItemResult(adopted.key, staged(url))])

        self.crashing(after, accept_external)

    @rule(after=crashes)
    def redrive(self, after: int | None) -> None:
        newest = self.run(self.stores.runs.runs(self.brand, limit=1))
        if newest:
            self.crashing(after, lambda: self.registry.redrive(newest[0].id))

    @rule(after=crashes, wish=st.sampled_from(["publish", "discard"]))
    def decide(self, after: int | None, wish: str) -> None:
        """An operator decides on the newest run, if it is held."""
        newest = self.run(self.stores.runs.runs(self.brand, limit=1))
        if newest and wish == "publish":
            self.crashing(after, lambda: self.registry.publish(newest[0].id))
        elif newest:
            self.crashing(after, lambda: self.registry.discard(newest[0].id))

    @rule(after=crashes)
    def sweep(self, after: int | None) -> None:
        self.crashing(after, self.sweep_now)

    async def sweep_now(self) -> None:
        await self.database.fetch(
            "update runs set progressed_at = progressed_at - interval '1 hour',"
            " expected_at = expected_at - interval '1 hour' where state = 'active'"
        )
        await self.database.fetch(
            "update items set sent_at = sent_at - interval '1 day',"
            " tried_at = tried_at - interval '1 day', due_at = due_at - interval '1 day'"
        )
        await self.registry.sweep(idle_s=1, quiet_s=1, resend_s=1, owed_s=0)

    @rule(after=crashes)
    def deadline(self, after: int | None) -> None:
        async def pass_deadline() -> None:
            await self.database.fetch(
                "update runs set deadline_at = now() - interval '1 s' where brand = $1", self.brand
            )
            await self.registry.sweep(idle_s=1, quiet_s=LONG_S, resend_s=1, owed_s=0)

        self.crashing(after, pass_deadline)

    # --- what always holds ---

    @invariant()
    def counters_are_the_rows(self) -> None:
        """G3: counters, staging and the window agree with the rows; ended runs have no pending."""
        rows = self.run(
            self.database.fetch(
                """
                select r.*, i.*, s.staged, t.*, a.assets from runs r
                cross join lateral (select count(*) as n_expected,
                    count(*) filter (where state = 'done') as n_done,
                    count(*) filter (where state = 'failed') as n_failed,
                    count(*) filter (where state = 'pending') as n_pending,
                    count(*) filter (where state = 'pending' and sent_at is not null) as n_out
                    from items where run_id = r.id) i
                cross join lateral (select count(*) as staged from staged where run_id = r.id) s
                cross join lateral (select count(*) as assets from assets where run_id = r.id) a
                cross join lateral (select count(*) as events,
                    coalesce(max(timeline.seq), 0) as top,
                    count(*) filter (where timeline.kind = 'committed') as commits
                    from timeline where run_id = r.id) t
                where r.brand = $1
                """,
                self.brand,
            )
        )
        assert sum(row["state"] in {"active", "held"} for row in rows) <= 1
        for row in rows:
            assert (row["expected"], row["done"], row["failed"]) == (
                row["n_expected"],
                row["n_done"],
                row["n_failed"],
            ), row
            assert row["events"] == row["top"] == row["seq"], "the timeline has a gap"
            assert row["commits"] == (row["state"] == "committed"), "G2: one commit a run"
            if row["state"] == "active":
                assert row["out"] == row["n_out"] <= WINDOW + 4
                assert row["staged"] == row["done"]
                assert row["assets"] == 0, "G1: nothing of an uncommitted run is visible"
            else:
                assert row["n_pending"] == 0, "G3: every item of an ended run is terminal"
            if row["state"] == "committed":
                assert row["sealed"], "an unsealed run cannot commit"
                assert row["staged"] == 0
                assert row["assets"] >= row["done"]
                assert row["assets"] == row["added"] + row["kept"] + row["changed"]
            elif row["state"] == "held":
                assert (row["staged"], row["assets"]) == (row["done"], 0), "it can be published"
            elif row["state"] == "cancelled":
                assert row["staged"] == 0

    @invariant()
    def versions_grow_and_snapshots_are_commits(self) -> None:
        """G1 and G7: versions only grow; the snapshot only ever moves to a committed run."""
        self.run(self.active())
        for run_id in self.run_ids:
            run = self.run(self.stores.runs.run(run_id))
            assert run.version >= self.versions.get(run_id, 0)
            self.versions[run_id] = run.version
        rows = self.run(
            self.database.fetch("select current_run from brands where name = $1", self.brand)
        )
        current = rows[0]["current_run"] if rows else None
        if current != self.snapshot:
            assert current is not None
            assert self.run(self.stores.runs.run(current)).state is RunState.COMMITTED
        self.snapshot = current

    # --- and in the end ---

    def teardown(self) -> None:
        try:
            self.run(self.drain())
        finally:
            self.run(self.queue.close())
            self.run(self.stores.close())
            self.runner.close()

    async def drain(self) -> None:
        """G3 and G5: without further faults every run ends, and each commit has its AI message."""
        self.fuse.left = None
        await self.queue.extend(self.held, 0)
        for _ in range(DRAIN_STEPS):
            run = await self.active()
            if run is None:
                break
            if run.paused:
                await self.registry.resume(run.id)
            if not run.sealed and run.kind is RunKind.FULL:
                await self.registry.seal(run.id)
            for delivery in await self.queue.receive(
                URL_QUEUE, limit=100, visibility_s=LONG_S, wait_s=0
            ):
                run_id = Headers.decode(delivery.headers).run_id
                assert run_id is not None
                with contextlib.suppress(RunEnded):
                    await self.registry.settle(run_id, [result(delivery, good=True)])
                await self.queue.delete([delivery])
            await self.sweep_now()
        assert await self.active() is None, "G3: every run ends"
        await self.registry.relay(None)
        told = await self.queue.receive(AI_QUEUE, limit=100, visibility_s=LONG_S, wait_s=0)
        heard = {Headers.decode(delivery.headers).run_id for delivery in told}
        committed = await self.database.fetch(
            "select id from runs where brand = $1 and state = 'committed'", self.brand
        )
        assert heard == {row["id"] for row in committed}, "G5: an AI message for each commit"
