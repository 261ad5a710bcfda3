"""How runs, brands, queues, tasks and events look outside: one shape for API and live status.

The values are what JSON writers take (`orjson.dumps` with ``OPT_UTC_Z``, pydantic): enums and
datetimes are left to them, ids are text. Field names are those of `triptych.model`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from triptych.dead_letters.dead_letter_store import Letters
from triptych.model import AiState, Brand, Policy, Run, RunKind, RunState, TimelineEvent
from triptych.presence.presence_store import SILENT_S, SeenWorker
from triptych.queues.queue import QueueDepth
from triptych.settings.addresses import without_password
from triptych.tasks.task_store import Task, TaskState

State = dict[str, Any]

AI_FINAL = frozenset({AiState.DONE, AiState.FAILED, AiState.SUPERSEDED})


def is_over(run: Run) -> bool:
    """Tell whether nothing more will happen to a run: ended, and its AI phase too."""
    if run.state is RunState.ACTIVE:
        return False
    return run.state is not RunState.COMMITTED or run.ai_state in AI_FINAL


NEW = "new"
"""State of a brand that had no run yet."""


def phase(run: Run | None) -> str:
    """Return what a run is at: ``gather``, ``acquire``, ``commit``, ``ai`` or ``over``."""
    if run is None:
        return "over"
    if run.state is RunState.ACTIVE:
        if not run.sealed:
            return "gather"
        return "commit" if run.complete else "acquire"
    at_ai = run.ai_state in {AiState.QUEUED, AiState.RUNNING}
    return "ai" if run.state is RunState.COMMITTED and at_ai else "over"


def _shown(source: str | None) -> str | None:
    return without_password(source) if source else source


def run_state(run: Run) -> State:
    """Return a run's fields, with ``settled``, ``over`` and ``phase``; passwords are hidden."""
    return {
        "id": str(run.id),
        "brand": run.brand,
        "kind": run.kind,
        "state": run.state,
        "over": is_over(run),
        "phase": phase(run),
        "source": _shown(run.source),
        "policy": {
            "tolerated_failures": run.policy.tolerated_failures,
            "max_attempts": run.policy.max_attempts,
            "deadline_s": run.policy.deadline_s,
        },
        "sealed": run.sealed,
        "paused": run.paused,
        "expected": run.expected,
        "done": run.done,
        "failed": run.failed,
        "settled": run.settled,
        "out": run.out,
        "version": run.version,
        "seq": run.seq,
        "created_at": run.created_at,
        "progressed_at": run.progressed_at,
        "deadline_at": run.deadline_at,
        "ended_at": run.ended_at,
        "reason": run.reason,
        "reasons": dict(run.reasons),
        "added": run.added,
        "kept": run.kept,
        "changed": run.changed,
        "removed": run.removed,
        "ai_state": run.ai_state,
        "ai_reason": run.ai_reason,
        "ai_progress": dict(run.ai_progress),
        "traceparent": run.traceparent,
    }


def brand_state(brand: Brand) -> State:
    """Return a brand's fields, its newest run as `run_state` has it."""
    return {
        "name": brand.name,
        "source": _shown(brand.source),
        "state": brand.latest.state.value if brand.latest is not None else NEW,
        "phase": phase(brand.latest),
        "current_run": str(brand.current_run) if brand.current_run is not None else None,
        "assets": brand.assets,
        "latest": run_state(brand.latest) if brand.latest is not None else None,
        "version": brand.version,
    }


def queue_state(depth: QueueDepth) -> State:
    """Return a queue's depth."""
    return {
        "queue": depth.queue,
        "waiting": depth.waiting,
        "in_flight": depth.in_flight,
        "oldest_s": depth.oldest_s,
    }


LETTERS_COUNTED_MAX = 10_000
"""Dead letters that wait are counted so far."""
WORKERS_MAX = 1_000
"""Workers that are shown, the longest-lived first."""


def queues_state(depths: Sequence[QueueDepth], letters: Letters) -> State:
    """Return every queue's depth, and how it stands with the dead letters."""
    return {
        "queues": [queue_state(depth) for depth in depths],
        "dead_letters": letters.waiting,
        "newest_letter": letters.newest,
    }


def worker_state(seen: SeenWorker) -> State:
    """Return a worker's fields, and whether it was heard of lately."""
    return {
        "id": str(seen.worker.id),
        "host": seen.worker.host,
        "pid": seen.worker.pid,
        "version": seen.worker.version,
        "phases": list(seen.worker.phases),
        "alive": seen.silent_s < SILENT_S,
        "stopping": seen.worker.stopping,
        "started_at": seen.worker.started_at,
        "silent_s": seen.silent_s,
        "doing": dict(seen.worker.doing),
    }


def event_state(event: TimelineEvent) -> State:
    """Return a timeline event without its run."""
    return {"seq": event.seq, "at": event.at, "kind": event.kind, "data": event.data}


def run_of_state(state: Mapping[str, Any]) -> Run:
    """Return the run whose `run_state`, read back from JSON, this is.

    Raises:
        KeyError, ValueError, TypeError: it is none.
    """
    ended = state["ended_at"]
    plain = (
        *("brand", "source", "sealed", "paused", "expected", "done", "failed", "out", "version"),
        *("seq", "reason", "reasons", "added", "kept", "changed", "removed", "ai_reason"),
        *("ai_progress", "traceparent"),
    )
    return Run(
        id=UUID(state["id"]),
        kind=RunKind(state["kind"]),
        state=RunState(state["state"]),
        policy=Policy(**state["policy"]),
        created_at=datetime.fromisoformat(state["created_at"]),
        progressed_at=datetime.fromisoformat(state["progressed_at"]),
        deadline_at=datetime.fromisoformat(state["deadline_at"]),
        ended_at=datetime.fromisoformat(ended) if ended is not None else None,
        ai_state=AiState(state["ai_state"]),
        **{name: state[name] for name in plain},
    )


def event_of_state(run_id: UUID, state: Mapping[str, Any]) -> TimelineEvent:
    """Return the event of a run whose `event_state`, read back from JSON, this is.

    Raises:
        KeyError, ValueError, TypeError: it is none.
    """
    at = datetime.fromisoformat(state["at"])
    return TimelineEvent(run_id, state["seq"], at, state["kind"], state["data"])


TASK_STATES: Mapping[RunState, TaskState] = {
    RunState.ACTIVE: TaskState.RUNNING,
    RunState.COMMITTED: TaskState.DONE,
    RunState.FAILED: TaskState.FAILED,
    RunState.CANCELLED: TaskState.FAILED,
}
AI_TASK_STATES: Mapping[AiState, TaskState] = {
    AiState.NONE: TaskState.ACCEPTED,
    AiState.QUEUED: TaskState.ACCEPTED,
    AiState.RUNNING: TaskState.RUNNING,
    AiState.DONE: TaskState.DONE,
    AiState.FAILED: TaskState.FAILED,
    AiState.SUPERSEDED: TaskState.DONE,
}
AI_TASK = "ai"
"""Kind of the tasks that run an AI phase again."""


def task_state(task: Task) -> State:
    """Return a task's fields. One that opened a run, or its AI phase, is where that is."""
    state, ended_at = task.state, task.ended_at
    if state is TaskState.ACCEPTED and task.run is not None:
        if task.kind == AI_TASK:
            state = AI_TASK_STATES[task.run.ai_state]
        else:
            state, ended_at = TASK_STATES[task.run.state], task.run.ended_at
    return {
        "id": str(task.id),
        "kind": task.kind,
        "state": state,
        "brand": task.brand,
        "run": str(task.run_id) if task.run_id is not None else None,
        "created_at": task.created_at,
        "ended_at": ended_at,
        "result": dict(task.result),
    }
