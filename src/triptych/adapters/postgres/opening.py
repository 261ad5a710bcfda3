"""Opening runs: by request, by a stranger's message, by redrive. One transaction each."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from triptych.database.rows import to_item, to_run
from triptych.database.session import Database, Transaction, no_nul
from triptych.errors import Conflict, RunNotFound
from triptych.messages import GATHER_QUEUE, GatherBody, Headers
from triptych.model import Item, NewItem, Policy, Reason, Run, RunKind, RunState
from triptych.ports import Opened

DETAIL_MAX_CHARS = 500
"""Longer details of a failure are cut."""
OPEN_TRIES = 5
"""A run may end between two statements that look for it; five times in a row is a defect."""
NEVER_REDRIVEN = (Reason.INVALID_URL.value, Reason.INVALID_METADATA.value)


class Opening:
    """The part of `triptych.ports.Registry` that opens runs."""

    def __init__(self, database: Database, *, run_cap_s: float) -> None:
        self._database = database
        self._run_cap_s = run_cap_s

    async def open_run(
        self,
        brand: str,
        *,
        run_id: UUID,
        kind: RunKind,
        source: str | None,
        policy: Policy,
        owe_gather: bool,
        traceparent: str | None = None,
    ) -> Opened:
        """See `triptych.ports.Registry.open_run`."""

        async def work(tx: Transaction) -> Opened:
            if row := await tx.row("read_run", run_id):
                return Opened(to_run(row), created=False)
            await tx.rows("upsert_brand", brand, source)
            opened = await self._insert_or_join(
                tx, brand, run_id, kind, source, policy, traceparent=traceparent
            )
            if opened.created and owe_gather:
                await self._owe_gather(tx, opened.run)
            return opened

        return await self._database.transact(work)

    async def _insert_or_join(
        self,
        tx: Transaction,
        brand: str,
        run_id: UUID,
        kind: RunKind,
        source: str | None,
        policy: Policy,
        redrives: UUID | None = None,
        traceparent: str | None = None,
    ) -> Opened:
        for _ in range(OPEN_TRIES):
            row = await tx.row(
                "insert_run",
                run_id,
                brand,
                kind.value,
                source,
                policy.tolerated_failures,
                policy.max_attempts,
                policy.deadline_s,
                self._run_cap_s,
                redrives,
                traceparent,
            )
            if row:
                await tx.rows("add_event", run_id, "opened", {"kind": kind.value})
                return Opened(to_run(row), created=True)
            if row := await tx.row("lock_active_run", brand):
                return Opened(to_run(row), created=False)
            known = await tx.row("brand_is_deleting", brand)
            if known is not None and known["deleting"]:
                raise Conflict(
                    f"Brand {brand!r} is being deleted.", remedy="Try again when it is gone."
                )
        message = f"brand {brand!r}: no run could be opened or joined"
        raise RuntimeError(message)

    async def _owe_gather(self, tx: Transaction, run: Run) -> None:
        body = GatherBody(brand=run.brand).model_dump()
        headers = Headers(run_id=run.id, traceparent=run.traceparent).encode()
        await tx.rows("owe", GATHER_QUEUE, body, headers, run.brand, run.id)

    async def redrive_run(
        self,
        run_id: UUID,
        *,
        new_id: UUID,
        policy: Policy,
        reasons: Sequence[Reason] | None = None,
    ) -> Opened:
        """See `triptych.ports.Registry.redrive_run`."""

        async def work(tx: Transaction) -> Opened:
            if row := await tx.row("read_run", new_id):
                return Opened(to_run(row), created=False)
            old_row = await tx.row("lock_run", run_id)
            if old_row is None:
                raise RunNotFound(f"There is no run {run_id}.")
            old = to_run(old_row)
            _check_redrivable(old, collected=old_row["collected_at"] is not None)
            if reasons is not None and old.state is not RunState.COMMITTED:
                raise Conflict(
                    f"Run {run_id} did not commit: it is redriven as a whole.",
                    remedy="Redrive it without naming reasons.",
                )
            # A committed run's other items are assets now: its failed ones are added to them.
            added = old.kind is RunKind.FULL and old.state is RunState.COMMITTED
            kind = RunKind.ADD if added else old.kind
            opened = await self._insert_or_join(
                tx,
                old.brand,
                new_id,
                kind,
                old.source,
                policy,
                redrives=run_id,
                traceparent=old.traceparent,
            )
            if not opened.created:
                raise Conflict(
                    f"Brand {old.brand!r} has an active run, {opened.run.id}.",
                    remedy="Redrive when it has ended, or cancel it.",
                )
            run = await self._take_over(tx, old_row, new_id, reasons)
            return Opened(run, created=True)

        return await self._database.transact(work)

    async def _take_over(
        self, tx: Transaction, old: asyncpg.Record, new_id: UUID, reasons: Sequence[Reason] | None
    ) -> Run:
        only = None if reasons is None else [reason.value for reason in reasons]
        counts = await tx.row("redrive_items", old["id"], new_id, list(NEVER_REDRIVEN), only)
        assert counts is not None
        ended_unsealed = not old["sealed"]
        lost = old["state"] != "committed" and counts["done"] < old["done"]
        if lost or (counts["expected"] == counts["done"] and not ended_unsealed):
            raise Conflict(
                f"Run {old['id']} has nothing left to redrive.",
                remedy="Start a new run of the brand.",
            )
        await tx.rows("redrive_staging", old["id"], new_id)
        row = await tx.row(
            "count_redriven",
            new_id,
            counts["expected"],
            counts["done"],
            old["sealed"],
            old["gather_cursor"],
        )
        assert row is not None
        await tx.rows("add_event", new_id, "redriven", {"run": str(old["id"])})
        if ended_unsealed:
            await self._owe_gather(tx, to_run(row))
        return to_run(row)

    async def adopt(
        self, brand: str, item: NewItem, *, message_id: str, run_id: UUID, policy: Policy
    ) -> Item | None:
        """See `triptych.ports.Registry.adopt`."""

        async def work(tx: Transaction) -> Item | None:
            if row := await tx.row("item_by_message", message_id, brand):
                return to_item(row, brand) if row["run_state"] == "active" else None
            await tx.rows("upsert_brand", brand, None)
            opened = await self._insert_or_join(tx, brand, run_id, RunKind.ADD, None, policy)
            run = await tx.row("lock_run", opened.run.id)
            assert run is not None
            refused = item.refused.value if item.refused else None
            row = await tx.row(
                "adopt_item",
                run["id"],
                item.key,
                run["next_position"],
                item.url,
                item.metadata,
                message_id,
                refused,
                no_nul([item.detail], DETAIL_MAX_CHARS)[0],
            )
            if row:
                await tx.rows("count_adopted", run["id"], 1 if refused else 0)
            else:
                row = await tx.row("read_item", run["id"], item.key)
                assert row is not None
            return to_item(row, brand)

        return await self._database.transact(work)


def _check_redrivable(run: Run, *, collected: bool) -> None:
    if run.state is RunState.ACTIVE:
        raise Conflict(
            f"Run {run.id} is still active.", remedy="Redrive when it has ended, or cancel it."
        )
    if collected:
        raise Conflict(
            f"The rows of run {run.id} have been let go of.", remedy="Start a new run of the brand."
        )
    if run.state is RunState.CANCELLED:
        raise Conflict(f"Run {run.id} was cancelled.", remedy="Start a new run of the brand.")
