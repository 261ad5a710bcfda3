"""Webhooks and their deliveries. Only for operators, because a URL may contain a secret."""

from __future__ import annotations

import secrets
from base64 import b64encode
from typing import Annotated, ClassVar, Protocol
from uuid import UUID, uuid4

import msgspec
from fastapi import Depends, Response
from msgspec import Meta
from pydantic import AfterValidator, Field

from triptych.access.identity import Identity
from triptych.api.http.auth import Operating
from triptych.api.http.dependencies import ApiContext, ApiStores, of_request
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.request_models import BrandText, Given, storable
from triptych.api.http.responses import Json
from triptych.errors import BadInput, Conflict, PermanentItemError
from triptych.fetch.web_url import parse_web_url
from triptych.messages import URL_MAX_CHARS
from triptych.shown_url import shown_text, shown_url
from triptych.tasks.task_store import Audit
from triptych.webhooks.webhook_store import Delivered, Event, Webhook, WebhookNotFound, WebhookStore
from triptych.wire import Wire

SECRET_BYTES = 32
DELIVERIES_SHOWN = 100

router = ResourceRouter("webhooks")


class WebhookStores(ApiStores, Protocol):
    """The API's stores and the store of webhooks."""

    webhooks: WebhookStore


Context = Annotated[ApiContext[WebhookStores], Depends(of_request)]


class WebhookGiven(Given):
    """A webhook to create."""

    url: Annotated[
        str,
        Field(
            max_length=URL_MAX_CHARS,
            pattern=r"^https?://.",
            description="A public URL, or one in a network that TRIPTYCH_FETCH_ALLOW names.",
        ),
        AfterValidator(storable),
    ]
    events: Annotated[
        list[Annotated[Event, Field(strict=False)]],
        Field(min_length=1, max_length=len(Event), description="The events that it receives."),
    ]
    brand: Annotated[
        BrandText | None, Field(description="Only events of this brand; by default of all.")
    ] = None


class WebhookMade(Webhook, frozen=True, kw_only=True):
    """A new webhook, with its secret."""

    COMPONENT: ClassVar[str] = "WebhookMade"

    secret: Annotated[str, Meta(description="The secret that signs deliveries; shown only once.")]


class Webhooks(Wire, frozen=True):
    """The webhooks."""

    items: list[Webhook]


class Deliveries(Wire, frozen=True):
    """The deliveries of a webhook."""

    items: list[Delivered]


@router.get("/webhooks", response_model=Webhooks, summary="List the webhooks")
async def list_webhooks(context: Context, _operator: Operating) -> Json:
    """The webhooks, oldest first, without their secrets and without the query of their URLs."""
    return Json(Webhooks([_shown(each) for each in await context.stores.webhooks.webhooks()]))


def _shown(webhook: Webhook) -> Webhook:
    return msgspec.structs.replace(
        webhook, url=shown_url(webhook.url), reason=webhook.reason and shown_text(webhook.reason)
    )


@router.post(
    "/webhooks",
    response_model=WebhookMade,
    status_code=201,
    summary="Create a webhook",
    responses=documented(Conflict),
)
async def make_webhook(context: Context, identity: Operating, body: WebhookGiven) -> Json:
    """Deliveries are signed as in Standard Webhooks, with the secret that is shown here only once.

    Redirects are not followed. A delivery without a 2xx answer is retried for half a day. Query and
    fragment of the URL are kept sealed and not shown again.
    """
    _check_address(context, body.url)
    secret = secrets.token_bytes(SECRET_BYTES)
    made = await context.stores.webhooks.put_webhook(
        Webhook(uuid4(), body.url, body.brand, list(dict.fromkeys(body.events))), secret=secret
    )
    await _audited(context, identity, "make_webhook", made.id)
    secret_shown = f"whsec_{b64encode(secret).decode()}"
    return Json(WebhookMade(**msgspec.structs.asdict(_shown(made)), secret=secret_shown), 201)


def _check_address(context: ApiContext[WebhookStores], url: str) -> None:
    """Refuse a URL that no event could be sent to; host names are resolved at delivery."""
    try:
        context.guard.check_url(parse_web_url(url))
    except (PermanentItemError, ValueError) as error:
        detail = error.detail if isinstance(error, PermanentItemError) else str(error)
        raise BadInput(
            f"Events cannot be sent to this URL ({detail}).",
            field="url",
            remedy="Use a public URL, or name its network in TRIPTYCH_FETCH_ALLOW.",
        ) from error


@router.delete(
    "/webhooks/{webhook}",
    status_code=204,
    response_class=Response,
    summary="Delete a webhook",
    responses=documented(WebhookNotFound),
)
async def delete_webhook(context: Context, identity: Operating, webhook: UUID) -> Response:
    """Its pending deliveries are dropped."""
    await context.stores.webhooks.delete_webhook(webhook)
    await _audited(context, identity, "delete_webhook", webhook)
    return Response(status_code=204)


@router.get(
    "/webhooks/{webhook}/deliveries",
    response_model=Deliveries,
    summary="List a webhook's deliveries, newest first",
    responses=documented(WebhookNotFound),
)
async def list_deliveries(context: Context, _operator: Operating, webhook: UUID) -> Json:
    """The newest 100, with the number of attempts and why the last one failed."""
    if webhook not in {hook.id for hook in await context.stores.webhooks.webhooks()}:
        raise WebhookNotFound(f"There is no webhook {webhook}.")
    found = await context.stores.webhooks.deliveries(webhook, limit=DELIVERIES_SHOWN)
    return Json(Deliveries(list(found)))


async def _audited(
    context: ApiContext[WebhookStores], identity: Identity, action: str, webhook: UUID
) -> None:
    await context.stores.tasks.record_audit(Audit(identity.name, action, f"webhook:{webhook}"))
