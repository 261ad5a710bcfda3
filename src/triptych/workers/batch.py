"""Processing a batch of messages that the caller receives and deletes, within a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from triptych.messages import Delivery
from triptych.queues.queue import Queue
from triptych.workers.message_processor import Handle, MessageProcessor

log = structlog.get_logger(__name__)


async def serve_batch(
    queue: Queue, name: str, handle: Handle, deliveries: Sequence[Delivery], *, within_s: float
) -> list[str]:
    """Handle messages concurrently; return the ids of those that must be delivered again.

    Messages whose effect is not durable after ``within_s`` seconds are cancelled and returned to
    the queue, visible at once, as in a worker's drain: their work starts again elsewhere. With no
    time left, nothing is started.
    """
    answers = MessageProcessor(queue, name, handle, _deleted_by_others)
    if within_s <= 0:
        await _give_back(queue, answers, deliveries)
        return [delivery.id for delivery in deliveries]
    tasks = {asyncio.create_task(answers.serve(delivery)): delivery for delivery in deliveries}
    done, late = await asyncio.wait(tasks, timeout=within_s)
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late)
        await _give_back(queue, answers, [tasks[task] for task in late])
    again = [tasks[task].id for task in late]
    for task in done:
        if error := task.exception():
            log.error("batch_defect", queue=name, exc_info=error)
        if error or not task.result():
            again.append(tasks[task].id)
    return again


async def _give_back(
    queue: Queue, answers: MessageProcessor, deliveries: Sequence[Delivery]
) -> None:
    log.info("messages_returned", count=len(deliveries))
    await answers.guarded(queue.extend(deliveries, 0), "return")


async def _deleted_by_others(_delivery: Delivery) -> None:
    return
