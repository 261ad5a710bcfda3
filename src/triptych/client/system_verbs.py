"""What a client does with an installation: its queues, workers, tasks, audit and webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from triptych.client.connection import Connection, Json
from triptych.dead_letters.dead_letter_store import KeptLetter
from triptych.messages import check_brand
from triptych.presence.presence_store import SeenWorker
from triptych.queues.queue import QueueDepth
from triptych.tasks.task_store import KeptAudit, Task
from triptych.webhooks.webhook_store import Delivered, Event, Webhook
from triptych.wire import Listing, Page

if TYPE_CHECKING:
    # FastAPI is slow to import, and only these methods need it.
    from triptych.api.system import Setting
    from triptych.api.tasks import IdentityShown
    from triptych.api.webhooks import WebhookMade


class SystemVerbs(Connection):
    """An installation as its operators see it."""

    async def me(self) -> IdentityShown:
        """Return the identity that this client's requests have, and the limits of its key."""
        from triptych.api.tasks import IdentityShown

        return await self._get("/me", IdentityShown)

    async def settings(self) -> Sequence[Setting]:
        """Return the server's settings and where each came from; secrets are hidden."""
        from triptych.api.system import Setting

        return (await self._get("/settings", Listing[Setting])).items

    async def workers(self) -> Sequence[SeenWorker]:
        """Return the known workers, the longest-lived first."""
        return (await self._get("/workers", Listing[SeenWorker])).items

    async def depths(self) -> Sequence[QueueDepth]:
        """Return the depths of the queues."""
        return (await self._get("/queues", Listing[QueueDepth])).items

    async def task(self, task: UUID) -> Task:
        """Return a task's current state.

        Raises:
            TaskNotFound: there is none of that id.
        """
        return await self._get(f"/tasks/{task}", Task)

    async def tasks(self) -> AsyncIterator[Task]:
        """Yield the tasks of the last 30 days, newest first."""
        async for task in self._pages("/tasks", Page[Task]):
            yield task

    async def audit(self) -> AsyncIterator[KeptAudit]:
        """Yield what operators did, newest first."""
        async for entry in self._pages("/audit", Page[KeptAudit]):
            yield entry

    async def dead_letters(self) -> AsyncIterator[KeptLetter]:
        """Yield the messages that could not be processed, newest first."""
        async for letter in self._pages("/dead-letters", Page[KeptLetter]):
            yield letter

    async def redrive_letters(self, ids: Sequence[int]) -> int:
        """Send dead letters to the queues they came from; return how many were sent."""
        task = await self._submit("POST", "/dead-letters/redrive", {"ids": list(ids)})
        return int(task.result["redriven"])

    async def discard_letters(self, ids: Sequence[int]) -> int:
        """Delete dead letters; return how many there were."""
        task = await self._submit("POST", "/dead-letters/discard", {"ids": list(ids)})
        return int(task.result["discarded"])

    async def webhooks(self) -> Sequence[Webhook]:
        """Return the webhooks, oldest first, without their secrets."""
        return (await self._get("/webhooks", Listing[Webhook])).items

    async def make_webhook(
        self, url: str, events: Sequence[Event], *, brand: str | None = None
    ) -> WebhookMade:
        """Create a webhook; its secret is in this answer only.

        It is asked once: an attempt whose answer was lost may have made one.

        Raises:
            BadInput: no event can be sent to the URL.
            Conflict: there are as many webhooks as there may be.
        """
        from triptych.api.webhooks import WebhookMade

        body: Json = {"url": url, "events": [event.value for event in events]}
        if brand is not None:
            body["brand"] = check_brand(brand)
        return await self._ask("POST", "/webhooks", WebhookMade, body=body, tries=1)

    async def delete_webhook(self, webhook: UUID) -> None:
        """Delete a webhook; its pending deliveries are dropped.

        Raises:
            NotFound: there is none of that id.
        """
        await self._body("DELETE", f"/webhooks/{webhook}", tries=1)

    async def deliveries(self, webhook: UUID) -> Sequence[Delivered]:
        """Return the newest 100 deliveries of a webhook, newest first."""
        return (await self._get(f"/webhooks/{webhook}/deliveries", Listing[Delivered])).items
