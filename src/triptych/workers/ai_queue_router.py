"""Routing the messages of ``brand-ai-phase-queue``: AI phases, and submitted tasks by id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from triptych.messages import Delivery, Headers
from triptych.workers.message_processor import Handle


def route_ai_queue(ai_phase: Handle, do_task: Callable[[UUID], Awaitable[None]]) -> Handle:
    """Return a handler that does the task that a message's headers name, or runs its AI phase.

    So exports and deletions have visibility timeouts, retries and dead letters like other messages.
    The handler raises `InvalidMessage` for a wrong header, and whatever the one it calls raises.
    """

    async def handle(delivery: Delivery) -> None:
        task_id = Headers.decode(delivery.headers).task_id
        if task_id is None:
            await ai_phase(delivery)
        else:
            await do_task(task_id)

    return handle
