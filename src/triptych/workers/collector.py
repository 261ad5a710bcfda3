"""The collector: deletes old snapshots, and objects that nothing uses any longer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from triptych.media.thumbnails import thumbnails_of
from triptych.objects import ObjectStore
from triptych.runtime.periodic import run_periodically
from triptych.snapshots.retention_store import RetentionStore
from triptych.tasks.brand_tasks import EXPORT, export_folder
from triptych.tasks.task_store import TaskStore
from triptych.uploads.upload_files import ORPHAN_S, PREFIX
from triptych.uploads.upload_store import UploadStore

ROWS_AT_ONCE = 5_000
"""Rows of one table deleted in one transaction."""
RUNS_AT_ONCE = 20
ROUNDS_MAX = 1_000
"""Transactions of one pass; the next pass does the rest."""
OBJECTS_AT_ONCE = 10_000
TASKS_KEPT_S = 30 * 24 * 3600.0
TASKS_AT_ONCE = 100
SETTLED_S = 900.0
"""Seconds that no settle exceeds."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """What is kept and for how long; all values except ``snapshots`` are in seconds."""

    snapshots: int
    """Snapshots kept of each brand, including the current one."""
    age_s: float
    timeline_s: float
    every_s: float
    object_grace_s: float
    tombstones_s: float
    uploads_s: float
    """Since an upload's last use."""
    settled_s: float = SETTLED_S


class Collector:
    """Stateless: any number of workers may run one, and one of them at a time takes a turn."""

    def __init__(
        self,
        retention: RetentionStore,
        tasks: TaskStore,
        uploads: UploadStore,
        store: ObjectStore,
        keeping: RetentionRules,
    ) -> None:
        self._retention = retention
        self._tasks = tasks
        self._uploads = uploads
        self._store = store
        self._keeping = keeping

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until ``stop``."""
        every_s = self._keeping.every_s
        await run_periodically("collector", self.turn, stop, every_s=every_s, pause_first=True)

    async def turn(self) -> None:
        """Do what is due, if it is this worker's turn."""
        keeping = self._keeping
        if await self._retention.take_turn("rows", every_s=keeping.every_s / 2):
            await self.collect_rows()
        if await self._retention.take_turn("objects", every_s=keeping.object_grace_s / 2):
            await self.collect_objects()
            await self.collect_uploads()

    async def collect_rows(self) -> None:
        """Mark what is no longer kept, and delete its rows in batches."""
        keeping, retention = self._keeping, self._retention
        collected = await retention.collect_snapshots(
            keep=keeping.snapshots, min_age_s=keeping.age_s
        )
        collected += await retention.collect_attempts(min_age_s=keeping.age_s)
        if collected:
            log.info("runs_collected", count=collected)
        for _ in range(ROUNDS_MAX):
            runs = await retention.runs_to_empty(limit=RUNS_AT_ONCE)
            if not runs:
                break
            for run_id in runs:
                await retention.empty_run(run_id, limit=ROWS_AT_ONCE)
        for _ in range(ROUNDS_MAX):
            dropped = await retention.drop_timelines(older_s=keeping.timeline_s, limit=ROWS_AT_ONCE)
            if dropped < ROWS_AT_ONCE:
                break
        await retention.drop_deliveries(older_s=keeping.timeline_s)
        await self._collect_tasks()

    async def _collect_tasks(self) -> None:
        """Delete old tasks, each after the files of its export."""
        for _ in range(ROUNDS_MAX):
            old = await self._tasks.old_tasks(older_s=TASKS_KEPT_S, limit=TASKS_AT_ONCE)
            for task in old:
                if task.kind == EXPORT:
                    await self._store.delete_under(export_folder(task.id))
            await self._tasks.drop_tasks([task.id for task in old])
            if len(old) < TASKS_AT_ONCE:
                break

    async def collect_objects(self) -> None:
        """Delete objects condemned long enough ago, then condemn objects that are now unused.

        In this order, at least a whole turn passes between condemning and deleting an object.
        """
        keeping, retention = self._keeping, self._retention
        for _ in range(ROUNDS_MAX):
            keys = await retention.condemned_objects(
                settled_s=keeping.settled_s, limit=OBJECTS_AT_ONCE
            )
            if not keys:
                break
            await self._store.delete(keys)
            # After their originals: see `thumbnail_keys`.
            await self._store.delete([name for key in keys for name in thumbnails_of(key)])
            await retention.objects_deleted(keys)
            log.info("objects_deleted", count=len(keys))
        await retention.condemn_objects(grace_s=keeping.object_grace_s, limit=OBJECTS_AT_ONCE)
        await retention.drop_tombstones(older_s=keeping.tombstones_s)

    async def collect_uploads(self) -> None:
        """Delete uploads that are no longer kept, and objects of uploads that were never made."""
        for _ in range(ROUNDS_MAX):
            keys = await self._uploads.remove_unused(
                unused_s=self._keeping.uploads_s, limit=OBJECTS_AT_ONCE
            )
            await self._store.delete(keys)
            if keys:
                log.info("uploads_deleted", count=len(keys))
            if len(keys) < OBJECTS_AT_ONCE:
                break
        before = datetime.now(UTC) - timedelta(seconds=ORPHAN_S)
        listed = await self._store.list_under(PREFIX)
        old = [key for key, one in listed.items() if one.modified_at < before]
        if old and (orphans := await self._uploads.unnamed_objects(old)):
            await self._store.delete(orphans)
            log.warning("uploads_without_a_row_deleted", count=len(orphans))
