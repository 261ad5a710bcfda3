"""A worker of the AI phase that dies where it is told to: ``python -m … DSN STEP``.

It takes one message, runs every installed step and acks last. In the step of that name, at its
first word of progress or else behind its result, it kills itself with SIGKILL; with ``ack`` it
does so when all is published and the message is not yet deleted, with ``nowhere`` it ends well.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from typing import Any

from triptych.ai.phase import AiPhase
from triptych.ai.step import Snapshot, Step, discover
from triptych.database.session import Database
from triptych.messages import AI_QUEUE
from triptych.queues.pgmq import PgmqQueue
from triptych.wiring.stores import postgres_stores

HIDDEN_S = 1.0
"""Until what a dead worker held is seen by the next."""
PATIENCE_S = 60.0


def die(_share: float = 0.0) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def deadly(step: Step) -> Step:
    def run(snapshot: Snapshot) -> Any:
        step.run(replace(snapshot, context=replace(snapshot.context, progress=die)))
        die()

    return Step(step.name, step.version, run)


async def work(dsn: str, where: str) -> None:
    database = Database(dsn)
    stores = postgres_stores(database, run_cap_s=3600)
    queue = PgmqQueue(database, max_receives=1000)
    steps = [deadly(step) if step.name == where else step for step in discover()]
    phase = AiPhase(stores.ai, stores.snapshots, steps)
    deliveries = await queue.receive(AI_QUEUE, limit=1, visibility_s=HIDDEN_S, wait_s=PATIENCE_S)
    if not deliveries:
        sys.exit("no message came")
    for delivery in deliveries:
        await phase.handle(delivery)
        if where == "ack":
            die()
    await queue.delete(deliveries)
    await queue.close()
    await stores.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2]))
