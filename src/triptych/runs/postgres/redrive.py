"""Redriving a run inside a transaction: a new run of an ended run's failed items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import asyncpg

from triptych.database.rows import Reader, reader, to_run
from triptych.database.session import Transaction
from triptych.errors import RunNotFound
from triptych.model import Policy, Reason, Run
from triptych.runs.postgres.opening import enqueue_gather, insert_or_join
from triptych.runs.redrive_rules import (
    NEVER_REDRIVEN,
    NamedItem,
    active_run,
    check_named,
    check_redrivable,
    check_something_left,
    redrive_policy,
    redriven_kind,
)
from triptych.runs.run_log import log_sealed
from triptych.runs.run_store import Opened

to_named: Reader[NamedItem] = reader(NamedItem)


@dataclass(frozen=True, slots=True)
class Redrive:
    """One redrive, as `RunStore.redrive_run` asks for it. Safe to repeat."""

    run_id: UUID
    new_id: UUID
    policy: Policy
    reasons: Sequence[Reason] | None
    keys: Sequence[bytes] | None
    run_cap_s: float

    async def apply(self, tx: Transaction) -> Opened:
        """Open the new run and move the failed items into it."""
        if row := await tx.row("read_run", self.new_id):
            return Opened(to_run(row), created=False)
        row = await tx.row("lock_run", self.run_id)
        if row is None:
            raise RunNotFound(f"There is no run {self.run_id}.")
        old = to_run(row)
        part = self.reasons is not None or self.keys is not None
        check_redrivable(old, part=part, collected=row["collected_at"] is not None)
        if self.keys is not None:
            named = await tx.rows("redrive_named", self.run_id, list(self.keys))
            check_named(old, self.keys, [to_named(item) for item in named])
        await self._open(tx, old)
        return Opened(await self._take_over(tx, row), created=True)

    async def _open(self, tx: Transaction, old: Run) -> None:
        opened = await insert_or_join(
            tx,
            old.brand,
            self.new_id,
            redriven_kind(old),
            old.source,
            redrive_policy(old, self.policy),
            run_cap_s=self.run_cap_s,
            redrives=self.run_id,
            traceparent=old.traceparent,
        )
        if not opened.created:
            raise active_run(opened.run)

    async def _take_over(self, tx: Transaction, old: asyncpg.Record) -> Run:
        """Move an ended run's failed items, and what else it staged, into the new run.

        Raises:
            Conflict: nothing is left to redrive.
        """
        only = None if self.reasons is None else [reason.value for reason in self.reasons]
        keys = None if self.keys is None else list(self.keys)
        never = list(NEVER_REDRIVEN)
        new_id = self.new_id
        counts = await tx.row("redrive_items", old["id"], new_id, never, only, keys)
        assert counts is not None
        ended_unsealed = not old["sealed"]
        check_something_left(to_run(old), expected=counts["expected"], done=counts["done"])
        await tx.rows("redrive_staging", old["id"], new_id)
        await tx.rows("redrive_merged", old["id"], new_id)
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
            await enqueue_gather(tx, to_run(row))
        else:
            tx.after_commit(partial(log_sealed, to_run(row)))
        return to_run(row)
