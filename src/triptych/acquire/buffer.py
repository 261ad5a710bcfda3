"""The local buffer: finished items of one run, flushed together in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from triptych.errors import RunEnded, RunNotFound, TransientItemError, Unavailable
from triptych.model import ItemResult, Reason
from triptych.objects import ObjectStore
from triptych.runs.registry import ActiveBrandRegistry
from triptych.runtime.retry import backoff

OUTAGE_BASE_S = 0.4
OUTAGE_CAP_S = 10.0

log = structlog.get_logger(__name__)

Waiting = tuple[ItemResult, "asyncio.Future[None]"]


@dataclass(slots=True)
class _Run:
    held: int = 0
    """Number of items of the run that this worker holds, including finished and flushing ones."""
    flushing: int = 0
    finished: list[Waiting] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class Buffer:
    """Finished items, by run. Its size is bounded by the messages that a worker holds.

    A run's items are flushed when ``flush_items`` are finished, when the first of them has waited
    ``flush_s``, or when this worker holds no unfinished item of the run, since then the batch
    cannot fill up. In the last case, items that finish during a flush wait for its end and form the
    next one. Small flushes would only queue for the run's row and cause further small ones, since
    each releases as many new messages as it settles. `settle` returns when the item's flush is
    durable.

    The objects of a flush are made durable first, all at once: a row never names bytes that a power
    cut could take.
    """

    def __init__(
        self,
        registry: ActiveBrandRegistry,
        store: ObjectStore,
        *,
        flush_items: int,
        flush_s: float,
    ) -> None:
        self._registry = registry
        self._store = store
        self._flush_items = flush_items
        self._flush_s = flush_s
        self._runs: dict[UUID, _Run] = {}
        self._flushes: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def working(self, run_id: UUID) -> AsyncIterator[None]:
        """Hold an item of a run in progress: finished items of the run may wait for it."""
        run = self._runs.setdefault(run_id, _Run())
        run.held += 1
        try:
            yield
        finally:
            run.held -= 1
            self._flush_if_due(run_id, run)
            if run.held == 0:
                del self._runs[run_id]

    async def settle(self, run_id: UUID, result: ItemResult) -> None:
        """Add a finished item and wait until it is settled, or the run has ended without it."""
        run = self._runs[run_id]
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        run.finished.append((result, future))
        if run.timer is None:
            loop = asyncio.get_running_loop()
            run.timer = loop.call_later(self._flush_s, self._flush, run_id, run)
        self._flush_if_due(run_id, run)
        await future

    def _flush_if_due(self, run_id: UUID, run: _Run) -> None:
        waiting = len(run.finished)
        nothing_to_come = waiting and not run.flushing and waiting >= run.held
        if waiting >= self._flush_items or nothing_to_come:
            self._flush(run_id, run)

    def _flush(self, run_id: UUID, run: _Run) -> None:
        if run.timer is not None:
            run.timer.cancel()
            run.timer = None
        batch, run.finished = run.finished, []
        # A cancelled caller's result is dropped: its message returns to the queue.
        batch = [(result, future) for result, future in batch if not future.done()]
        if batch:
            run.flushing += len(batch)
            flush = asyncio.create_task(self._settle(run_id, run, batch))
            self._flushes.add(flush)
            flush.add_done_callback(self._flushes.discard)

    async def _settle(self, run_id: UUID, run: _Run, batch: list[Waiting]) -> None:
        try:
            outcome = await self._settle_or_error(run_id, [result for result, _ in batch])
            if isinstance(outcome, Exception) and len(batch) > 1:
                # One result that cannot be settled must not fail the others of its batch.
                for single in batch:
                    await self._settle_single(run_id, single)
                return
            _resolve(batch, outcome)
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        finally:
            run.flushing -= len(batch)

    async def _settle_single(self, run_id: UUID, single: Waiting) -> None:
        _resolve([single], await self._settle_or_error(run_id, [single[0]]))

    async def _settle_or_error(
        self, run_id: UUID, results: list[ItemResult]
    ) -> Exception | frozenset[bytes]:
        """Settle, retrying until the object store and the database are available again.

        Returns:
            The keys that were refused, or the error.
        """
        outage = 0
        while True:
            try:
                return await self._settle_durably(run_id, results)
            except (RunEnded, RunNotFound):
                return frozenset()  # Late: no row changes, and the messages may be deleted.
            except Unavailable as error:
                outage += 1
                if outage == 1:
                    log.warning("flush_waits", run=str(run_id), error=str(error))
                await asyncio.sleep(backoff(outage, base_s=OUTAGE_BASE_S, cap_s=OUTAGE_CAP_S))
            except Exception as error:
                log.exception("flush_failed", run=str(run_id), items=len(results))
                return error

    async def _settle_durably(self, run_id: UUID, results: list[ItemResult]) -> frozenset[bytes]:
        """Settle the results whose objects are durable; return the keys of the others."""
        stored = {r.staged.object_key for r in results if r.staged and r.staged.put_at is not None}
        lost = await self._store.flush(stored)
        kept = [r for r in results if r.staged is None or r.staged.object_key not in lost]
        refused = frozenset(r.key for r in results) - {r.key for r in kept}
        return refused | await self._registry.settle(run_id, kept) if kept else refused


def _resolve(batch: list[Waiting], outcome: Exception | frozenset[bytes]) -> None:
    for result, future in batch:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        elif result.key in outcome:
            future.set_exception(
                TransientItemError(Reason.STORE_FAILED, "its object is no longer there")
            )
        else:
            future.set_result(None)
