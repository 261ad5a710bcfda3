"""Processing one message: its phase is called, and an error of the phase affects it alone."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import structlog

from triptych.errors import QueueUnavailable, TriptychError
from triptych.messages import DEAD_LETTER_SUFFIX, Delivery
from triptych.queues.queue import Queue
from triptych.runtime.retry import Action, plan_retry
from triptych.telemetry.metrics import MESSAGE_SECONDS, MESSAGES
from triptych.telemetry.tracing import bind_delivery, delivery_span

log = structlog.get_logger(__name__)

OUTCOMES = ("done", "dead_lettered", "put_off", "returned")

Handle = Callable[[Delivery], Awaitable[None]]


class MessageProcessor:
    """Processes messages of one queue with a phase and answers them (`plan_retry`).

    ``acknowledge`` is called when a message's effect is durable, never before.
    """

    def __init__(
        self,
        queue: Queue,
        name: str,
        handle: Handle,
        acknowledge: Callable[[Delivery], Awaitable[None]],
    ) -> None:
        self._queue = queue
        self._name = name
        self._handle = handle
        self._acknowledge = acknowledge
        self._seconds = MESSAGE_SECONDS.labels(name)
        self._outcomes = {outcome: MESSAGES.labels(name, outcome) for outcome in OUTCOMES}
        self._log = log.bind(queue=name)

    async def serve(self, delivery: Delivery) -> bool:
        """Handle one message and answer it; return whether it need not be delivered again."""
        bind_delivery(delivery)
        begun = time.perf_counter()
        try:
            with delivery_span(delivery):
                # A dead letter is recorded whatever it contains.
                if delivery.problem is not None and not delivery.queue.endswith(DEAD_LETTER_SUFFIX):
                    raise delivery.problem
                await self._handle(delivery)
        except Exception as error:  # noqa: BLE001 - a message's failure is that message's alone
            outcome, settled = await self._answer(delivery, error)
        else:
            outcome = "done"
            settled = await self.guarded(self._acknowledge(delivery), "delete")
        self._outcomes[outcome].inc()
        self._seconds.observe(time.perf_counter() - begun)
        return settled

    async def _answer(self, delivery: Delivery, error: Exception) -> tuple[str, bool]:
        """Answer a failed message; return the outcome, and whether it has left the queue."""
        plan = plan_retry(error, delivery.receives)
        bound = self._log.bind(message=delivery.id, receives=delivery.receives, error=str(error))
        if plan.action is Action.DEAD_LETTER:
            bound.warning("message_dead_lettered")
            move = self._queue.dead_letter(delivery, str(error))
            return "dead_lettered", await self.guarded(move, "dead_letter")
        if plan.action is Action.PUT_OFF:
            put_off = self._queue.put_off(delivery, plan.delay_s, counted=False)
            return "put_off", await self.guarded(put_off, "put_off")
        if isinstance(error, TriptychError):
            bound.info("message_deferred", delay_s=round(plan.delay_s, 1))
        else:
            bound.error("message_defect", delay_s=round(plan.delay_s, 1), exc_info=error)
        again = self._queue.put_off(delivery, plan.delay_s, counted=True)
        await self.guarded(again, "return")
        return "returned", False

    async def guarded(self, answer: Awaitable[None], what: str) -> bool:
        """Send an answer that may be lost: without it the message comes again, harmlessly."""
        try:
            await answer
        except QueueUnavailable as error:
            self._log.info("answer_lost", answer=what, error=str(error))
            return False
        return True
