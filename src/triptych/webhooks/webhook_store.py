"""The port WebhookStore: webhooks and their deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Protocol
from uuid import UUID

from msgspec import Meta

from triptych.errors import NotFound
from triptych.wire import Wire

WEBHOOKS_MAX = 100


class Event(StrEnum):
    """The events that a webhook can receive."""

    RUN_COMMITTED = "run.committed"
    RUN_HELD = "run.held"
    RUN_FAILED = "run.failed"
    RUN_CANCELLED = "run.cancelled"
    AI_DONE = "ai.done"
    AI_FAILED = "ai.failed"


class Webhook(Wire, frozen=True):
    """An address that receives events, of one brand or of all."""

    id: UUID
    url: str
    brand: str | None
    events: list[Event]
    created_at: datetime | None = None
    disabled_at: datetime | None = None
    reason: Annotated[str | None, Meta(description="Why no more is sent to it.")] = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook."""

    id: UUID
    webhook_id: UUID
    event: str
    body: Any
    attempts: int
    """Including this one."""
    url: str
    secret: bytes = field(repr=False)


class Delivered(Wire, frozen=True):
    """What became of one event for one webhook."""

    COMPONENT: ClassVar[str] = "DeliveryShown"

    id: UUID
    event: str
    attempts: int
    created_at: datetime
    due_at: datetime
    delivered_at: datetime | None
    failed_at: datetime | None
    reason: str | None


class WebhookNotFound(NotFound):
    """There is no such webhook."""


class WebhookStore(Protocol):
    """Webhooks and their pending deliveries. Each method is one transaction.

    Deliveries are made by the transaction that ends a run or its AI phase, so none is lost and
    none is invented.
    """

    async def put_webhook(self, webhook: Webhook, *, secret: bytes) -> Webhook:
        """Keep a new webhook, and the secret that its messages are signed with, sealed.

        The webhook that is returned and listed has no userinfo and no query in its URL.

        Raises:
            SettingsError: there is no key to seal it with.
            Conflict: there are `WEBHOOKS_MAX` already.
        """
        ...

    async def webhooks(self) -> Sequence[Webhook]:
        """Return all webhooks, the oldest first."""
        ...

    async def delete_webhook(self, webhook_id: UUID) -> None:
        """Delete a webhook and its pending deliveries.

        Raises:
            WebhookNotFound: there is none of that id.
        """
        ...

    async def disable_webhook(self, webhook_id: UUID, reason: str) -> None:
        """Disable a webhook."""
        ...

    async def claim_deliveries(self, *, limit: int, lease_s: float) -> Sequence[Delivery]:
        """Return deliveries that are due, the caller's for ``lease_s``; the attempt is counted."""
        ...

    async def delivery_done(self, delivery_id: UUID) -> None:
        """Record a delivery as accepted."""
        ...

    async def delivery_put_off(self, delivery_id: UUID, *, delay_s: float, reason: str) -> None:
        """Record that a delivery is to be retried."""
        ...

    async def delivery_failed(self, delivery_id: UUID, reason: str) -> None:
        """Record a delivery as failed for good."""
        ...

    async def deliveries(self, webhook_id: UUID, *, limit: int) -> Sequence[Delivered]:
        """Return a webhook's newest deliveries."""
        ...
