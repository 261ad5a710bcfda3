"""Sending what is durable already: messages of items that are marked as sent, and the outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import orjson
import structlog

from triptych.errors import QueueUnavailable
from triptych.messages import METADATA_IN_BODY_MAX_BYTES, URL_QUEUE, Headers, Message, UrlBody
from triptych.model import Item
from triptych.queues.queue import Queue
from triptych.runs.run_store import RunStore
from triptych.runtime.retry import backoff

SEND_TRIES = 3
SEND_RETRY_BASE_S = 0.2
RELAY_BATCH = 100

log = structlog.get_logger(__name__)


class Dispatcher:
    """Sends messages. What it cannot send now, a sweep sends later."""

    def __init__(self, runs: RunStore, queue: Queue) -> None:
        self._runs = runs
        self._queue = queue

    async def relay(self, run_id: UUID | None, *, older_s: float = 0) -> None:
        """Send the messages in the outbox, of one run or of all, and remove them from it.

        Killed in between, they are sent again: consumers recognise them by their run id.
        """
        while outbox_pending := await self._runs.outbox_pending(
            run_id=run_id, older_s=older_s, limit=RELAY_BATCH
        ):
            for queue in {entry.queue for entry in outbox_pending}:
                entries = [entry for entry in outbox_pending if entry.queue == queue]
                try:
                    await self._queue.send(queue, [entry.message for entry in entries])
                except QueueUnavailable as error:
                    log.warning("relay_deferred", queue=queue, error=str(error))
                    return
                await self._runs.mark_sent([entry.id for entry in entries])

    async def dispatch(self, items: Sequence[Item]) -> None:
        """Send the messages of items that are marked as sent.

        If this fails nothing is lost: a sweep finds outstanding items that never settle.
        """
        if not items:
            return None
        messages = [_message(item) for item in items]
        for attempt in range(1, SEND_TRIES + 1):
            try:
                return await self._queue.send(URL_QUEUE, messages)
            except QueueUnavailable as error:
                log.warning("dispatch_deferred", items=len(items), error=str(error))
            await asyncio.sleep(backoff(attempt, base_s=SEND_RETRY_BASE_S))
        return None


def _message(item: Item) -> Message:
    metadata = dict(item.metadata)
    if len(orjson.dumps(metadata)) > METADATA_IN_BODY_MAX_BYTES:
        metadata = {}
    return Message(
        body=UrlBody.model_construct(
            brand=item.brand, url=item.url, metadata=metadata
        ).model_dump(),
        headers=Headers(item.run_id, item.key, item.traceparent).encode(),
        brand=item.brand,
    )
