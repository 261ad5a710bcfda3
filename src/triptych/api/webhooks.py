"""Webhooks: who is told of what, and what became of it. For operators: an address may be secret."""

from __future__ import annotations

import secrets
from base64 import b64encode
from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Response
from yarl import URL

from triptych.access.identity import Identity
from triptych.api.http import responses as answers
from triptych.api.http.auth import Operating
from triptych.api.http.dependencies import ApiContext, Context
from triptych.api.http.problems import documented
from triptych.api.requests import WebhookGiven
from triptych.api.schemas import DeliveriesShown, WebhookMade, WebhooksShown
from triptych.errors import BadInput, Conflict, PermanentItemError, WebhookNotFound
from triptych.tasks.task_store import Audit
from triptych.webhooks.webhook_store import Webhook

SECRET_BYTES = 32
DELIVERIES_SHOWN = 100

router = APIRouter(tags=["webhooks"])


@router.get("/webhooks", response_model=WebhooksShown, summary="List the webhooks")
async def list_webhooks(context: Context, _operator: Operating) -> answers.Json:
    """The oldest first, without their secrets."""
    return answers.Json(
        {"items": [_shown(hook) for hook in await context.stores.webhooks.webhooks()]}
    )


@router.post(
    "/webhooks",
    response_model=WebhookMade,
    status_code=201,
    summary="Tell an address of events",
    responses=documented(Conflict),
)
async def make_webhook(context: Context, identity: Operating, body: WebhookGiven) -> answers.Json:
    """What is sent is signed as Standard Webhooks has it, with the secret that is shown here, once.

    Redirects are not followed; what is not answered with 2xx is tried again for half a day.
    """
    _check_address(context, body.url)
    secret = secrets.token_bytes(SECRET_BYTES)
    made = await context.stores.webhooks.put_webhook(
        Webhook(uuid4(), body.url, secret, body.brand, tuple(dict.fromkeys(body.events)))
    )
    await _audited(context, identity, "make_webhook", made.id)
    told = {**_shown(made), "secret": f"whsec_{b64encode(secret).decode()}"}
    return answers.Json(told, 201)


def _check_address(context: ApiContext, url: str) -> None:
    """Refuse an address that would never be told anything; names are resolved when it is told."""
    try:
        context.guard.check_url(URL(url))
    except (PermanentItemError, ValueError) as error:
        detail = error.detail if isinstance(error, PermanentItemError) else str(error)
        raise BadInput(
            f"This address is not told anything ({detail}).",
            field="url",
            remedy="Name a public one, or its network in TRIPTYCH_FETCH_ALLOW.",
        ) from error


@router.delete(
    "/webhooks/{webhook}",
    status_code=204,
    response_class=Response,
    summary="Tell an address no more",
    responses=documented(WebhookNotFound),
)
async def delete_webhook(context: Context, identity: Operating, webhook: UUID) -> Response:
    """What it is still owed is forgotten."""
    await context.stores.webhooks.delete_webhook(webhook)
    await _audited(context, identity, "delete_webhook", webhook)
    return Response(status_code=204)


@router.get(
    "/webhooks/{webhook}/deliveries",
    response_model=DeliveriesShown,
    summary="List what a webhook was told, newest first",
    responses=documented(WebhookNotFound),
)
async def list_deliveries(context: Context, _operator: Operating, webhook: UUID) -> answers.Json:
    """The newest 100, with the attempts made and why the last one failed."""
    if webhook not in {hook.id for hook in await context.stores.webhooks.webhooks()}:
        raise WebhookNotFound(f"There is no webhook {webhook}.")
    found = await context.stores.webhooks.deliveries(webhook, limit=DELIVERIES_SHOWN)
    items = [
        {
            "id": told.id,
            "event": told.event,
            "attempts": told.attempts,
            "created_at": told.created_at,
            "due_at": told.due_at,
            "delivered_at": told.delivered_at,
            "failed_at": told.failed_at,
            "reason": told.reason,
        }
        for told in found
    ]
    return answers.Json({"items": items})


def _shown(hook: Webhook) -> dict[str, Any]:
    return {
        "id": hook.id,
        "url": hook.url,
        "brand": hook.brand,
        "events": hook.events,
        "created_at": hook.created_at,
        "disabled_at": hook.disabled_at,
        "reason": hook.reason,
    }


async def _audited(context: ApiContext, identity: Identity, action: str, webhook: UUID) -> None:
    await context.stores.tasks.record_audit(Audit(identity.name, action, f"webhook:{webhook}"))
