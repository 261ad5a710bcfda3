"""What workers take, as tasks and as functions, and what they and servers are scaled by.

Plain numbers, so that a simulation can read them without the CDK.
"""

from __future__ import annotations

from dataclasses import dataclass

SCALE_OUT_S = 60
"""Seconds after which more tasks may be added to those that were."""
SCALE_IN_S = 300
TASK_WINDOW = 1_000
"""Messages that a brand alone may have outstanding for each task that acquires. As it is more than
twice the backlog at which another task comes, a brand alone doubles the tasks at each scaling."""
CLIENTS_A_TASK = 1_000
"""Half of what a process takes (`TRIPTYCH_LIVE_CLIENTS`): the next task comes before one is full.
An idle client needs no CPU, so CPU alone would never ask for it."""
REQUESTS_A_MINUTE = 6_000
"""Requests of one API task, of one processor: a hundred a second, with thumbnails to be sent."""
BATCH = 10
BATCHES_AHEAD = 2
"""Batches for each invocation that may run at a time: one that it has, and one that waits."""
HIDDEN_TIMES = 6
"""AWS' advice: a message stays hidden for six times as long as its function may take, so that
throttled batches are tried again and do not end as dead letters."""


@dataclass(frozen=True)
class Size:
    """What a worker takes, and how many messages each should have before it."""

    phase: str
    queue: str
    cpu: int
    memory_mib: int
    backlog: int
    provider: str
    """Of the cluster's capacity providers."""
    connections: int
    gpus: int = 0
    """Of a host, that a task has for itself."""


SIZES = (
    Size("gather", "brand-gather-queue", 512, 2560, 4, "spot", connections=4),
    # More than a task holds at a time, so that no other comes before this one is busy; less than
    # half of `TASK_WINDOW`, so that a brand alone gets the next ones.
    Size("acquire", "url-process-queue", 2048, 4096, 400, "spot", connections=6),
    Size("ai", "brand-ai-phase-queue", 2048, 8192, 2, "large", connections=4),
)
ACQUIRE_WITH_GPU = Size(
    "acquire", "url-process-queue", 4096, 12288, 400, "gpu", connections=6, gpus=1
)
"""A whole host for each task: all its processors decode for its one GPU. The numbers are chosen to
fit and not measured."""


def sizes(*, acquire_gpu: bool) -> tuple[Size, ...]:
    """Return what workers take, with acquire on a GPU or not."""
    replaced = {ACQUIRE_WITH_GPU.phase: ACQUIRE_WITH_GPU} if acquire_gpu else {}
    return tuple(replaced.get(size.phase, size) for size in SIZES)


@dataclass(frozen=True)
class Shape:
    """One phase as a function."""

    phase: str
    queue: str
    timeout_s: int
    memory_mib: int
    concurrency: int
    """Batches at a time: with `infra.functions.CONNECTIONS` each, what the database has to bear."""


SHAPES = (
    Shape("gather", "brand-gather-queue", 900, 2560, 5),
    Shape("acquire", "url-process-queue", 120, 3008, 40),
    Shape("ai", "brand-ai-phase-queue", 900, 8192, 2),
)
SWEEP_TIMEOUT_S = 55
SWEEP_MIB = 1024


def hidden_s(workers: str) -> dict[str, int]:
    """Return each queue's visibility timeout: a worker's heartbeats make a short one do."""
    if workers == "ecs":
        return {shape.queue: 60 for shape in SHAPES}
    return {shape.queue: HIDDEN_TIMES * shape.timeout_s for shape in SHAPES}


def window(workers: str) -> int:
    """Return ``TRIPTYCH_DISPATCH_WINDOW``: for each task, or for all functions together."""
    if workers == "ecs":
        return TASK_WINDOW
    (acquire,) = (shape for shape in SHAPES if shape.phase == "acquire")
    return BATCHES_AHEAD * BATCH * acquire.concurrency
