"""The notifier: delivers signed events to webhooks, with retries."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import aiohttp
import orjson
import structlog
from standardwebhooks import Webhook

from triptych.errors import PermanentItemError
from triptych.fetch.fetcher import parse_retry_after
from triptych.fetch.guard import AddressGuard, refusal
from triptych.fetch.web_url import parse_web_url
from triptych.runtime.periodic import run_periodically
from triptych.runtime.retry import backoff
from triptych.shown_url import shown_text
from triptych.telemetry.metrics import WEBHOOK_ATTEMPTS
from triptych.webhooks.webhook_store import Delivery, WebhookStore

AT_ONCE = 10
"""Concurrent deliveries of one worker."""
ANSWER_S = 15.0
LEASE_S = 60.0
"""Seconds for which a claimed delivery is reserved: well above what an answer may take."""
ATTEMPTS_MAX = 10
BACKOFF_BASE_S = 10.0
BACKOFF_CAP_S = 4 * 3600.0
"""With these the last attempt comes about half a day after the first."""
GONE = 410
"""HTTP status of a webhook that wants no further events (Standard Webhooks)."""

log = structlog.get_logger(__name__)


class _Refused(Exception):
    """An attempt to deliver failed."""

    def __init__(
        self, reason: str, retry_after_s: float | None = None, *, final: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = shown_text(reason)
        self.retry_after_s = retry_after_s
        self.final = final


class Notifier:
    """Delivers at least once. Stateless: any number of workers may run one.

    Redirects are not followed: a signed body is sent only to the configured URL, and only if the
    address guard allows it.
    """

    def __init__(
        self,
        webhooks: WebhookStore,
        session: aiohttp.ClientSession,
        guard: AddressGuard,
        *,
        every_s: float,
    ) -> None:
        self._webhooks = webhooks
        self._session = session
        self._guard = guard
        self._every_s = every_s

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until ``stop``; deliveries in progress are finished."""
        await run_periodically("notifier", self.deliver, stop, every_s=self._every_s)

    async def deliver(self) -> bool:
        """Deliver what is due, at most `AT_ONCE`; return whether there may be more."""
        due = await self._webhooks.claim_deliveries(limit=AT_ONCE, lease_s=LEASE_S)
        await asyncio.gather(*(self._attempt(delivery) for delivery in due))
        return len(due) == AT_ONCE

    async def _attempt(self, delivery: Delivery) -> None:
        bound = log.bind(delivery=str(delivery.id), event_kind=delivery.event)
        try:
            await self._post(delivery)
        except _Refused as refused:
            WEBHOOK_ATTEMPTS.labels("refused").inc()
            if refused.final:
                await self._webhooks.disable_webhook(delivery.webhook_id, refused.reason)
            if refused.final or delivery.attempts >= ATTEMPTS_MAX:
                bound.warning("webhook_failed", reason=refused.reason)
                await self._webhooks.delivery_failed(delivery.id, refused.reason)
                return
            delay = backoff(delivery.attempts, base_s=BACKOFF_BASE_S, cap_s=BACKOFF_CAP_S)
            delay = max(delay, refused.retry_after_s or 0.0)
            bound.info("webhook_put_off", reason=refused.reason, delay_s=round(delay, 1))
            await self._webhooks.delivery_put_off(delivery.id, delay_s=delay, reason=refused.reason)
        else:
            WEBHOOK_ATTEMPTS.labels("taken").inc()
            await self._webhooks.delivery_done(delivery.id)

    async def _post(self, delivery: Delivery) -> None:
        body = orjson.dumps(delivery.body)
        now = datetime.now(UTC)
        signature = Webhook(delivery.secret).sign(str(delivery.id), now, body.decode())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": str(delivery.id),
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }
        try:
            # The session's own check cannot see credentials: by then they are a header.
            url = parse_web_url(delivery.url)
            self._guard.check_url(url)
            async with (
                asyncio.timeout(ANSWER_S),
                self._session.post(
                    url, data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                _check(response)
        except PermanentItemError as error:
            raise _Refused(error.detail) from error
        except TimeoutError as error:
            raise _Refused(f"no answer within {ANSWER_S:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            refused = refusal(error)
            raise _Refused(str(refused or error) or type(error).__name__) from error


def _check(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if 200 <= status < 300:
        return
    asked = parse_retry_after(response.headers.get("Retry-After"))
    raise _Refused(f"HTTP {status}", asked, final=status == GONE)
