"""Webhooks on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import structlog
from typing_extensions import override

from triptych.database.rows import Reader, reader
from triptych.database.session import Database, Transaction, no_nul
from triptych.errors import Conflict
from triptych.sealing.key_ring import SealBroken
from triptych.webhooks.sealed_webhooks import SealedWebhook, SealedWebhooks
from triptych.webhooks.webhook_store import (
    WEBHOOKS_MAX,
    Delivered,
    Delivery,
    Webhook,
    WebhookNotFound,
    WebhookStore,
)

REASON_MAX_CHARS = 500

log = structlog.get_logger(__name__)

to_webhook: Reader[Webhook] = reader(Webhook)
to_delivered: Reader[Delivered] = reader(Delivered)


class PostgresWebhookStore(WebhookStore):
    """`WebhookStore` on Postgres."""

    def __init__(self, database: Database, sealing: SealedWebhooks) -> None:
        self._database = database
        self._sealing = sealing

    @override
    async def put_webhook(self, webhook: Webhook, *, secret: bytes) -> Webhook:
        url, sealed = self._sealing.seal(webhook.id, webhook.url, secret)

        async def work(tx: Transaction) -> Webhook:
            count = await tx.row("count_webhooks")
            if count is not None and count["count"] >= WEBHOOKS_MAX:
                raise Conflict(
                    f"There are {WEBHOOKS_MAX} webhooks already.", remedy="Remove one first."
                )
            row = await tx.row(
                "put_webhook",
                webhook.id,
                url,
                sealed,
                webhook.brand,
                list(webhook.events),
            )
            assert row is not None
            return to_webhook(row)

        return await self._database.transact(work)

    @override
    async def webhooks(self) -> Sequence[Webhook]:
        return [to_webhook(row) for row in await self._database.rows("webhooks")]

    @override
    async def delete_webhook(self, webhook_id: UUID) -> None:
        if not await self._database.rows("delete_webhook", webhook_id):
            raise WebhookNotFound(f"There is no webhook {webhook_id}.")

    @override
    async def disable_webhook(self, webhook_id: UUID, reason: str) -> None:
        await self._database.rows("disable_webhook", webhook_id, _storable(reason))

    @override
    async def claim_deliveries(self, *, limit: int, lease_s: float) -> Sequence[Delivery]:
        rows = await self._database.rows("claim_deliveries", limit, lease_s)
        found = []
        for row in rows:
            try:
                opened = self._sealing.open(row)
            except SealBroken as error:
                # The others are delivered.
                log.error("webhook_seal_broken", webhook=str(row["webhook_id"]), error=str(error))
                await self.disable_webhook(row["webhook_id"], str(error))
                continue
            found.append(_to_delivery(row, opened))
        return found

    @override
    async def delivery_done(self, delivery_id: UUID) -> None:
        await self._database.rows("delivery_done", delivery_id)

    @override
    async def delivery_put_off(self, delivery_id: UUID, *, delay_s: float, reason: str) -> None:
        await self._database.rows("delivery_put_off", delivery_id, delay_s, _storable(reason))

    @override
    async def delivery_failed(self, delivery_id: UUID, reason: str) -> None:
        await self._database.rows("delivery_failed", delivery_id, _storable(reason))

    @override
    async def deliveries(self, webhook_id: UUID, *, limit: int) -> Sequence[Delivered]:
        rows = await self._database.rows("deliveries", webhook_id, limit)
        return [to_delivered(row) for row in rows]


def _to_delivery(row: asyncpg.Record, opened: SealedWebhook) -> Delivery:
    return Delivery(
        id=row["id"],
        webhook_id=row["webhook_id"],
        event=row["event"],
        body=row["body"],
        attempts=row["attempts"],
        url=opened.url,
        secret=opened.secret,
    )


def _storable(reason: str) -> str | None:
    return no_nul([reason], REASON_MAX_CHARS)[0]
