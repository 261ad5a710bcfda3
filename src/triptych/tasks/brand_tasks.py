"""Submitted work on a whole brand: exports and deletions, done by workers of phase 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any
from uuid import UUID

import structlog

from triptych.errors import Conflict, TriptychError, Unavailable
from triptych.features.feature_store import FeatureStore
from triptych.model import Metadata, RunState
from triptych.objects import ObjectStore
from triptych.runs.brand_store import BrandStore
from triptych.runs.run_store import RunStore
from triptych.runtime.object_file import ObjectFile
from triptych.snapshots.exports.export import ExportRequest, export, file_name
from triptych.snapshots.exports.export_registry import ExportRegistry
from triptych.snapshots.retention_store import RetentionStore
from triptych.snapshots.snapshot_store import SnapshotStore
from triptych.tasks.task_store import Task, TaskState, TaskStore

EXPORT = "export"
DELETE = "delete"
CREDENTIALS = "credentials"
"""In an export's result: the number of assets with a credential in a URL."""

ROWS_AT_ONCE = 5_000
"""Rows of each kind that a deletion removes in one transaction."""
ROUNDS_MAX = 1_000_000

log = structlog.get_logger(__name__)


def export_folder(task_id: UUID) -> str:
    """Return the prefix of the keys that an export's files have in the object store."""
    return f"exports/{task_id}/"


@dataclass(frozen=True, slots=True)
class BrandTasks:
    """Does submitted tasks.

    Safe to repeat: an export writes the same files of the same snapshot again, a deletion continues
    where it stopped. A task that has ended, or does not exist, is ignored.
    """

    tasks: TaskStore
    runs: RunStore
    brands: BrandStore
    snapshots: SnapshotStore
    retention: RetentionStore
    features: FeatureStore
    store: ObjectStore
    exports: ExportRegistry

    async def do(self, task_id: UUID) -> None:
        """Do a task.

        Raises:
            Unavailable: the message is retried.
        """
        task = await self.tasks.begin_task(task_id)
        if task is None:
            log.info("task_not_due", task=str(task_id))
            return
        try:
            state, result = TaskState.DONE, await self._do(task)
        except Unavailable:
            raise
        except TriptychError as error:
            state = TaskState.FAILED
            result = {**task.result, "error": error.message, "remedy": error.remedy}
        await self.tasks.end_task(task.id, state, result)
        log.info("task_ended", task=str(task.id), kind=task.kind, state=state.value)

    async def _do(self, task: Task) -> Metadata:
        assert task.brand is not None
        if task.kind == EXPORT:
            return await self._export(task, task.brand)
        if task.kind == DELETE:
            return await self._delete(task.brand)
        raise Conflict(f"No worker handles tasks of the kind {task.kind!r}.")

    async def _export(self, task: Task, brand: str) -> Metadata:
        files: dict[str, ObjectFile] = {}

        def opening(name: str) -> IO[bytes]:
            files[name] = self.store.open_file(f"{export_folder(task.id)}{name}")
            return files[name]  # type: ignore[return-value]  # It is one but for its generics.

        wanted = ExportRequest(
            UUID(task.result["run"]),
            file_name(brand),
            self.exports.find(task.result["format"]),
            opening,
        )
        notes, secret = list[str](), list[int]()
        count = await export(
            self.snapshots,
            self.store,
            wanted,
            note=notes.append,
            credentials=secret.append,
            features=self.features,
        )
        if any(secret):
            notes.append(
                f"{sum(secret):,} assets have a signature or a key in a URL, and the files have "
                "it, too: only operators may download them."
            )
        told: list[dict[str, Any]] = [
            {"name": name, "size_bytes": file.size_bytes, "sha256": file.sha256.hex()}
            for name, file in files.items()
        ]
        return {
            **task.result,
            "assets": count,
            "files": told,
            "notes": notes,
            CREDENTIALS: sum(secret),
        }

    async def _delete(self, brand: str) -> Metadata:
        for _ in range(ROUNDS_MAX):
            try:
                if await self.retention.delete_brand(brand, limit=ROWS_AT_ONCE):
                    break
            except Conflict:
                # Opened by a request that read the brand before its deletion began.
                latest = (await self.brands.brand(brand)).latest
                if latest is None or latest.state is not RunState.ACTIVE:
                    raise
                await self.runs.cancel(latest.id)
        return {}
