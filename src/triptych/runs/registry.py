"""The Active Brand Registry: which runs are active, what each expects, and when it is done.

The state is in the database's rows. This module defines the order of things around its
transactions: first what is durable, then what is sent to others, so that a crash between the two
leaves work for the sweeper and nothing half done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID, uuid4, uuid5

import structlog

from triptych.dead_letters.dead_letter_store import DeadLetterStore
from triptych.errors import Conflict, RowLocked, RunActive, RunEnded
from triptych.messages import Delivery
from triptych.model import Item, ItemResult, NewItem, Policy, Reason, Run, RunKind, RunState
from triptych.queues.queue import Queue
from triptych.runs.active_run import check_joinable
from triptych.runs.brand_store import BrandStore, DueBrand
from triptych.runs.brand_turns import BrandTurns
from triptych.runs.dispatch import Dispatcher
from triptych.runs.dispatch_window import DispatchWindow
from triptych.runs.held_rules import HELD_MAX_S
from triptych.runs.redrive_rules import helpful_reasons, left_out
from triptych.runs.restore_rules import check_same_snapshot
from triptych.runs.run_store import Opened, RowsRead, RunStore, Settlement
from triptych.runs.schedule import next_due
from triptych.shown_url import shown_text
from triptych.telemetry.metrics import FLUSH_SECONDS, ITEMS
from triptych.telemetry.tracing import current_traceparent, span

RESEND_BATCH = 500
SWEEP_RUNS = 100
"""Runs handled in one sweep; the others wait for the next."""
REPLACED_MAX = 3
"""Active runs that one request cancels: others may start some at the same time."""
REDRIVEN_LETTERS_MAX = 1000
"""Dead letters sent again by one request."""
SCHEDULES = UUID("0b6f0a52-5ad4-5b7e-8a5b-4b6c7a1d3c10")
"""Namespace of the run ids that are derived from the times of schedules."""
EXTERNAL_NAMESPACE = UUID("6e0c5b3e-2f5d-5d0e-9b39-6d2f6e6c1a57")
"""Namespace of the run ids that are derived from external messages (RFC 9562 §5.5)."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class ActiveBrandRegistry:
    """Opens, fills, settles, seals and commits runs. Any number of processes may hold one."""

    def __init__(
        self,
        runs: RunStore,
        brands: BrandStore,
        dead_letters: DeadLetterStore,
        queue: Queue,
        *,
        window: DispatchWindow,
        policy: Policy,
    ) -> None:
        self._runs = runs
        self._brands = brands
        self._dead_letters = dead_letters
        self._dispatcher = Dispatcher(runs, queue)
        self._turns = BrandTurns()
        self._window = window
        self._policy = policy

    # --- open -------------------------------------------------------------------------------

    async def open(
        self,
        brand: str,
        *,
        source: str | None = None,
        policy: Policy | None = None,
        run_id: UUID | None = None,
        replace: bool = False,
    ) -> Opened:
        """Open a run of a brand and send its gather message; or return its active run.

        The run is durable before the message is sent; an unsent message is sent by a sweep. A
        repeated call with the same ``run_id`` returns that run, ended or not. ``replace``: cancel
        an active run of another kind or source first.

        Raises:
            RunActive: the active run is of another kind or source; nothing was changed.
        """
        wanted = run_id or uuid4()
        for _ in range(REPLACED_MAX):
            try:
                return await self._open(brand, source, policy or self._policy, wanted)
            except RunActive as error:
                if not replace or error.run_id is None:
                    raise
                await self._runs.cancel(error.run_id)
        return await self._open(brand, source, policy or self._policy, wanted)

    async def _open(self, brand: str, source: str | None, policy: Policy, run_id: UUID) -> Opened:
        opened = await self._runs.open_run(
            brand,
            run_id=run_id,
            kind=RunKind.FULL,
            source=source,
            policy=policy,
            enqueue_gather_message=True,
            traceparent=current_traceparent(),
        )
        check_joinable(opened.run, RunKind.FULL)
        await self._dispatcher.relay(opened.run.id)
        return opened

    async def reembed(
        self, brand: str, *, policy: Policy | None = None, run_id: UUID | None = None
    ) -> Opened:
        """Open a run that embeds a brand's snapshot again, from its stored objects.

        A repeated call with the same ``run_id`` returns that run, ended or not.

        Raises:
            BrandNotFound: there is none of that name.
            Conflict: it has no snapshot.
            RunActive: it has an active run of another kind.
        """
        known = await self._brands.brand(brand)
        if known.current_run is None:
            raise Conflict(
                f"Brand {brand!r} has no snapshot to embed.", remedy="Start a run of it first."
            )
        opened = await self._runs.open_run(
            brand,
            run_id=run_id or uuid4(),
            kind=RunKind.REEMBED,
            source=None,
            policy=policy or self._policy,
            enqueue_gather_message=True,
            traceparent=current_traceparent(),
        )
        check_joinable(opened.run, RunKind.REEMBED)
        await self._dispatcher.relay(opened.run.id)
        return opened

    async def restore(self, brand: str, snapshot: UUID, *, run_id: UUID | None = None) -> Opened:
        """Open a run that publishes an older snapshot of a brand again, as a commit of its own.

        It is never held: the caller names the snapshot. A repeated call with the same
        ``run_id`` returns that run, ended or not.

        Raises:
            RunNotFound: the brand has no such snapshot.
            SnapshotCollected: it is no longer kept.
            Conflict: it is the current one.
            RunActive: the brand has a held run, or an active one that is not the same restore.
        """
        opened = await self._runs.open_run(
            brand,
            run_id=run_id or uuid4(),
            kind=RunKind.RESTORE,
            source=None,
            policy=self._policy,
            enqueue_gather_message=True,
            traceparent=current_traceparent(),
            restores=snapshot,
        )
        check_joinable(opened.run, RunKind.RESTORE)
        check_same_snapshot(opened.run, snapshot)
        await self._dispatcher.relay(opened.run.id)
        return opened

    async def open_for_message(self, brand: str, delivery: Delivery) -> Opened:
        """Open the run that an external gather message asks for.

        Its id is derived from the message's, so every delivery of one message opens the same run.
        """
        return await self._runs.open_run(
            brand,
            run_id=external_run_id(delivery),
            kind=RunKind.FULL,
            source=None,
            policy=self._policy,
            enqueue_gather_message=False,
            traceparent=current_traceparent(),
        )

    async def redrive(
        self,
        run_id: UUID,
        *,
        new_id: UUID | None = None,
        reasons: Sequence[Reason] | None = None,
        keys: Sequence[bytes] | None = None,
    ) -> Run:
        """Open a run of an ended run's failed items and dispatch it; once for each ``new_id``.

        Only items that failed for one of ``reasons``; without them, for one that a redrive may help
        (`helpful_reasons`). `left_by_redrive` tells of the others. With ``keys``, only these items,
        whatever they failed for.

        Raises:
            RunNotFound: no such run.
            Conflict: as `RunStore.redrive_run`.
        """
        old = await self._runs.run(run_id)
        opened = await self._runs.redrive_run(
            run_id,
            new_id=new_id or uuid4(),
            policy=self._policy,
            reasons=helpful_reasons(old, reasons) if keys is None else reasons,
            keys=keys,
        )
        await self._dispatcher.relay(opened.run.id)
        await self._fill(opened.run.id)
        return opened.run

    async def left_by_redrive(
        self, run_id: UUID, reasons: Sequence[Reason] | None = None
    ) -> Mapping[str, int]:
        """Return how many failed items of a run `redrive` leaves, by reason.

        Raises:
            RunNotFound: no such run.
        """
        old = await self._runs.run(run_id)
        return left_out(old, helpful_reasons(old, reasons))

    async def accept_external(self, brand: str, item: NewItem, delivery: Delivery) -> Item | None:
        """Take an external message's URL into the brand's active run, or into an ``add`` run.

        Raises:
            RowLocked: the brand's run is being committed or restores; the message is retried.
        """
        async with self._turns.turn(brand):
            return await self._runs.accept_external(
                brand,
                item,
                message_id=f"{delivery.queue}/{delivery.id}",
                run_id=external_run_id(delivery),
                policy=self._policy,
            )

    # --- expect, settle, seal -----------------------------------------------------------------

    async def expect(
        self,
        run_id: UUID,
        items: Sequence[NewItem],
        *,
        cursor: str | None,
        rows: RowsRead | None = None,
    ) -> None:
        """Add a page of items to a run and dispatch what fits its window.

        ``rows`` are those of the source that the items come from: see `RunStore.expect`.

        Raises:
            RunEnded: the run is not active.
        """
        await self._dispatcher.dispatch(
            await self._runs.expect(
                run_id, items, cursor=cursor, limit=await self._window.size(), rows=rows
            )
        )

    async def settle(self, run_id: UUID, results: Sequence[ItemResult]) -> frozenset[bytes]:
        """Settle finished items; the call that settles the last one also commits.

        When this returns, the results are durable and their messages may be deleted, except those
        of the keys returned: their objects were being deleted and have to be stored again.

        Raises:
            RunEnded: the run is not active; nothing changed.
        """
        settlement = await self._settle(run_id, results)
        if settlement.run.complete:
            await self._commit_or_leave(run_id)
        return settlement.refused

    async def _settle(self, run_id: UUID, results: Sequence[ItemResult]) -> Settlement:
        with FLUSH_SECONDS.time(), span("flush", attributes={"triptych.items": len(results)}):
            window = await self._window.size()
            settlement = await self._runs.settle(run_id, results, limit=window)
        counts = Counter(
            (result.state.value, result.reason.value if result.reason else "")
            for result in results
            if result.key in settlement.changed
        )
        for labels, count in counts.items():
            ITEMS.labels(*labels).inc(count)
        await self._dispatcher.dispatch(settlement.dispatch)
        return settlement

    async def skip(self, run_id: UUID, results: Sequence[ItemResult]) -> frozenset[bytes]:
        """Settle items that an operator lets go of; return the keys of those that this settled.

        An item that a worker settles at the same time is settled by one of both. This never
        commits, since its caller may wait for an answer: if nothing is left, a message of one of
        the items is sent again, and the worker that finds it settled commits. If that message is
        lost, a sweep commits.

        Raises:
            RunNotFound, RunEnded: as `settle`; nothing changed.
        """
        settlement = await self._settle(run_id, results)
        if settlement.run.complete and settlement.changed:
            await self._dispatcher.dispatch(
                await self._runs.items(run_id, [min(settlement.changed)])
            )
        return settlement.changed

    async def finish(self, run_id: UUID) -> None:
        """Commit a run if it is complete: what a redelivered message does after a crash.

        Does not wait for a commit that another process has begun: there may be hundreds of such
        messages, and a sweep commits what that process does not.
        """
        run = await self._runs.run(run_id)
        if run.state is RunState.ACTIVE and run.complete:
            await self.commit(run_id, wait=False)

    async def seal(self, run_id: UUID) -> Run:
        """Declare a run's items complete; commit if all are settled already, or there are none."""
        run = await self._runs.seal(run_id)
        if run.state is RunState.ACTIVE and run.complete:
            return await self._commit_or_leave(run_id) or run
        return run

    async def commit(self, run_id: UUID, *, wait: bool = True) -> Run:
        """End a complete run in one transaction, then send its AI message from the outbox.

        ``wait`` is that of `RunStore.commit`.

        Raises:
            RowLocked: another process holds the run's lock for too long.
        """
        with span("commit", attributes={"triptych.run": str(run_id)}):
            run = await self._runs.commit(run_id, wait=wait)
        if run.state is RunState.COMMITTED:
            await self._dispatcher.relay(run_id)
        return run

    async def _commit_or_leave(self, run_id: UUID) -> Run | None:
        """Commit; leave it to a sweep if another process holds the run's lock for too long."""
        try:
            return await self.commit(run_id)
        except RowLocked:
            log.warning("commit_left_to_sweep", run=str(run_id))
            return None

    async def _fill(self, run_id: UUID) -> None:
        """Dispatch what fits a run's window."""
        items = await self._runs.claim_window(run_id, limit=await self._window.size())
        await self._dispatcher.dispatch(items)

    # --- steer --------------------------------------------------------------------------------

    async def pause(self, run_id: UUID) -> Run:
        """Stop dispatching; outstanding items still settle."""
        return await self._runs.pause(run_id, paused=True)

    async def resume(self, run_id: UUID) -> Run:
        """Dispatch again."""
        run = await self._runs.pause(run_id, paused=False)
        await self._fill(run_id)
        return run

    async def cancel(self, run_id: UUID) -> Run:
        """End an active run; the brand's snapshot stays what it was.

        Raises:
            Conflict: it has ended otherwise.
        """
        run = await self._runs.cancel(run_id)
        if run.state is not RunState.CANCELLED:
            raise Conflict(f"Run {run_id} is {run.state.value}; it cannot be cancelled.")
        return run

    async def publish(self, run_id: UUID) -> Run:
        """Commit a held run, then send its AI message from the outbox.

        Raises:
            Conflict: it is not held.
        """
        run = await self._runs.publish(run_id)
        await self._dispatcher.relay(run_id)
        return run

    async def discard(self, run_id: UUID) -> Run:
        """End a held run as cancelled; the brand's snapshot stays what it was.

        Raises:
            Conflict: it is not held.
        """
        return await self._runs.discard(run_id, "discarded by an operator")

    async def fail(self, run_id: UUID, reason: str, *, gives_back: bool = False) -> Run:
        """End an active run as failed; the brand's snapshot stays what it was.

        ``gives_back`` is that of `RunStore.fail`.
        """
        return await self._runs.fail(run_id, shown_text(reason), gives_back=gives_back)

    async def run_ai_again(self, brand: str) -> Run:
        """Queue the AI phase of a brand's snapshot and send its message.

        Raises:
            BrandNotFound: there is no such brand.
            Conflict: it has no snapshot yet.
        """
        run = await self._runs.request_ai(brand)
        await self._dispatcher.relay(run.id)
        return run

    async def begin_deletion(self, brand: str) -> None:
        """Hide a brand and end its active run, so that the rest of it can be deleted.

        Safe to repeat; from then on no run of it can be opened.

        Raises:
            BrandNotFound: there is none of that name.
        """
        await self._brands.begin_deletion(brand)
        active = (await self._brands.brand(brand)).latest
        if active is not None and active.state is RunState.ACTIVE:
            await self._runs.cancel(active.id)

    async def redrive_letters(self, *, ids: Sequence[int] | None, queue: str | None) -> int:
        """Send dead letters to the queues they came from; return how many.

        Each is chosen once and sent at least once, like everything in the outbox.
        """
        count = await self._dead_letters.redrive_letters(
            ids=ids, queue=queue, limit=REDRIVEN_LETTERS_MAX
        )
        if count:
            await self._dispatcher.relay(None)
        return count

    async def discard_letters(self, ids: Sequence[int]) -> int:
        """Delete dead letters for good; return how many there were."""
        return await self._dead_letters.discard(ids)

    async def schedule(self, brand: str, *, source: str | None, schedule: str | None) -> None:
        """Make a brand, or replace its source and schedule.

        Raises:
            InvalidSchedule: not a cron expression that is ever due.
        """
        due_at = next_due(schedule, datetime.now(UTC)) if schedule else None
        await self._brands.put_brand(brand, source=source, schedule=schedule, due_at=due_at)

    async def relay(self, run_id: UUID | None) -> None:
        """Send what is in the outbox: see `Dispatcher.relay`."""
        await self._dispatcher.relay(run_id)

    # --- sweep --------------------------------------------------------------------------------

    async def sweep(self, *, idle_s: float, quiet_s: float, resend_s: float, owed_s: float) -> None:
        """Finish what a crash or a lost message left undone. Stateless; any number may sweep.

        Commits complete runs, seals idle ``add`` runs, sends outstanding items of quiet runs
        again, ends runs at their deadline, opens scheduled runs, sends what is in the outbox.
        """
        due = await self._runs.due(idle_s=idle_s, quiet_s=quiet_s, limit=SWEEP_RUNS)

        async def expire(run_id: UUID) -> None:
            run = await self._runs.expire(run_id)
            if run.state is RunState.ACTIVE and run.complete:
                await self.commit(run_id)

        async def resend(run_id: UUID) -> None:
            with suppress(RunEnded):  # Or paused, since it was found quiet.
                await self._dispatcher.dispatch(
                    await self._runs.claim_resend(run_id, interval_s=resend_s, limit=RESEND_BATCH)
                )
            await self._fill(run_id)

        await _each(due.expire, expire)
        await _each(due.seal, self.seal)
        await _each(due.commit, self.commit)
        await _each(due.resend, resend)
        await self._open_scheduled()
        await self._discard_overdue()
        await self._dispatcher.relay(None, older_s=owed_s)

    async def _discard_overdue(self) -> None:
        """Discard held runs that nobody has decided on."""

        async def discard(run_id: UUID) -> None:
            with suppress(Conflict):  # Decided on since it was found.
                await self._runs.discard(run_id, "it was held, and nobody decided on it")

        await _each(await self._runs.overdue_held(older_s=HELD_MAX_S, limit=SWEEP_RUNS), discard)

    async def _open_scheduled(self) -> None:
        """Open the runs of schedules that are due: one for each due time, whatever sweeps.

        The run's id is derived from the due time, so every sweeper opens the same run. Due times
        that passed while no sweeper ran are one run; a brand with an active run gets none.
        """
        now = datetime.now(UTC)

        async def open_due(due: DueBrand) -> None:
            run_id = uuid5(SCHEDULES, f"{due.name}/{due.due_at.isoformat()}")
            try:
                opened = await self.open(due.name, run_id=run_id)
                log.info("scheduled_run", brand=due.name, run=str(opened.run.id))
            except RunActive as error:
                log.info("scheduled_run_skipped", brand=due.name, error=str(error))
            # After the opening: killed in between, the next sweep finds that run open.
            later = next_due(due.schedule, max(now, due.due_at))
            await self._brands.advance_schedule(due.name, seen=due.due_at, due_at=later)

        await _each(await self._brands.due_brands(limit=SWEEP_RUNS), open_due)


async def _each(due: Sequence[T], work: Callable[[T], Awaitable[object]]) -> None:
    """Do ``work`` for each; one that another process has locked is left to the next sweep."""
    for one in due:
        try:
            await work(one)
        except RowLocked:
            log.warning("sweep_left_locked", work=work.__name__, what=str(one))


def external_run_id(delivery: Delivery) -> UUID:
    """Return the id of the run that an external message opens: the same on every delivery."""
    return uuid5(EXTERNAL_NAMESPACE, f"{delivery.queue}/{delivery.id}")
