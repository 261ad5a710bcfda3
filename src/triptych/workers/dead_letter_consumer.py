"""The dead-letter consumer: messages that no worker could process become recorded failures.

A dead letter is stored in the database, and its work fails: an item, a run whose gather message
died, an AI phase, or a task. So nothing waits for a message that will never be processed.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from triptych.ai.ai_store import AiStore
from triptych.dead_letters.dead_letter_store import DeadLetter, DeadLetterStore
from triptych.errors import InvalidMessage, RunEnded, RunNotFound
from triptych.messages import (
    AI_QUEUE,
    DEAD_LETTER_SUFFIX,
    GATHER_QUEUE,
    HEADER_ORIGIN_ID,
    HEADER_REASON,
    URL_QUEUE,
    Delivery,
    Headers,
)
from triptych.model import ItemResult, Reason
from triptych.runs.registry import ActiveBrandRegistry
from triptych.shown_url import shown_text
from triptych.tasks.task_store import TaskState, TaskStore

UNKNOWN_REASON = "moved to the dead-letter queue by the queue itself: received too often"
MESSAGE_ID_MAX_CHARS = 200
"""The ids of both queue systems are shorter. An index cannot hold a text of any length."""

log = structlog.get_logger(__name__)


class DeadLetterConsumer:
    """Handles messages of the three dead-letter queues. Idempotent: one row per message."""

    def __init__(
        self,
        dead_letters: DeadLetterStore,
        tasks: TaskStore,
        ai: AiStore,
        registry: ActiveBrandRegistry,
    ) -> None:
        self._dead_letters = dead_letters
        self._tasks = tasks
        self._ai = ai
        self._registry = registry

    async def handle(self, delivery: Delivery) -> None:
        """Store the message, then fail what waits for it."""
        origin = delivery.queue.removesuffix(DEAD_LETTER_SUFFIX)
        reason = shown_text(
            delivery.headers.get(HEADER_REASON) or str(delivery.problem or UNKNOWN_REASON)
        )
        headers = _headers(delivery)
        letter = DeadLetter(
            queue=origin,
            message_id=_message_id(delivery),
            body=delivery.body,
            headers=dict(delivery.headers),
            reason=reason,
            run_id=headers.run_id,
        )
        await self._dead_letters.record(letter)
        log.warning("dead_letter", queue=origin, message=letter.message_id, reason=reason)
        if headers.task_id is not None:
            await self._tasks.end_task(headers.task_id, TaskState.FAILED, {"error": reason})
        elif headers.run_id is not None:
            await self._end(origin, headers.run_id, headers.item_key, reason)

    async def _end(self, origin: str, run_id: UUID, key: bytes | None, reason: str) -> None:
        try:
            if origin == URL_QUEUE and key is not None:
                result = ItemResult(key, None, Reason.DEAD_LETTERED, reason)
                await self._registry.settle(run_id, [result])
            elif origin == GATHER_QUEUE:
                await self._registry.fail(run_id, f"gather_dead_lettered: {reason}")
            elif origin == AI_QUEUE:
                await self._ai.fail_ai(run_id, reason)
        except (RunEnded, RunNotFound) as error:
            log.info("dead_letter_late", run=str(run_id), error=str(error))


def _message_id(delivery: Delivery) -> str:
    """Return the id in the message's own queue; the delivery's if the header cannot be one."""
    origin = delivery.headers.get(HEADER_ORIGIN_ID, "")
    return origin if 0 < len(origin) <= MESSAGE_ID_MAX_CHARS else delivery.id


def _headers(delivery: Delivery) -> Headers:
    try:
        return Headers.decode(delivery.headers)
    except InvalidMessage:
        return Headers()  # Invalid headers may be why it is dead; then it names no run.
