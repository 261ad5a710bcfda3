"""Webhooks: owed by the transaction, signed, tried again, kept from private addresses."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from ipaddress import ip_network
from uuid import uuid4

import orjson
import pytest
from aiohttp import web

from tests.support.contracts.stores_contract import committed, open_run, restore
from tests.support.sealing import KEYS
from triptych.database.session import Database
from triptych.errors import Conflict
from triptych.fetch.guard import AddressGuard
from triptych.fetch.transport import open_session
from triptych.model import Insight
from triptych.telemetry.metrics import REGISTRY
from triptych.webhooks import postgres_webhooks
from triptych.webhooks.webhook_store import Delivered, Event, Webhook, WebhookNotFound
from triptych.wiring.stores import Stores, postgres_stores
from triptych.workers import webhook_notifier
from triptych.workers.webhook_notifier import Notifier

SECRET = b"0123456789abcdef0123456789abcdef"
LOOPBACK = ip_network("127.0.0.0/8")


class Receiver:
    """A server that is told, and answers what a test wants."""

    def __init__(self) -> None:
        self.base = ""
        self.targets: list[str] = []
        self.told: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[web.Response] = []

    async def take(self, request: web.Request) -> web.Response:
        self.targets.append(request.raw_path)
        self.told.append((dict(request.headers), await request.read()))
        return self.answers.pop(0) if self.answers else web.Response(status=204)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def stores(migrated_dsn: str) -> AsyncIterator[Stores]:
    database = Database(migrated_dsn)
    yield postgres_stores(database, run_cap_s=3600, keys=KEYS)
    await database.close()


@pytest.fixture
async def notifier(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Notifier]:
    monkeypatch.setattr(webhook_notifier, "BACKOFF_BASE_S", 0.0)
    guard = AddressGuard([LOOPBACK])
    async with open_session(guard, limit=5) as session:
        yield Notifier(stores.webhooks, session, guard, every_s=0.1)


async def hook(stores: Stores, url: str, *events: Event, brand: str | None = None) -> Webhook:
    wanted = list(events or tuple(Event))
    return await stores.webhooks.put_webhook(Webhook(uuid4(), url, brand, wanted), secret=SECRET)


async def outcomes(stores: Stores, webhook: Webhook) -> list[Delivered]:
    return list(await stores.webhooks.deliveries(webhook.id, limit=100))


def counted(outcome: str) -> float:
    name = "triptych_webhook_attempts_total"
    return REGISTRY.get_sample_value(name, {"outcome": outcome}) or 0.0


async def test_a_commit_and_its_ai_phase_are_told_signed_and_once(
    stores: Stores, notifier: Notifier, receiver: Receiver
) -> None:
    await hook(stores, f"{receiver.base}/hook")
    run = await committed(stores)
    await notifier.deliver()
    await stores.ai.begin_ai("nike", run.id)
    await stores.ai.finish_ai(run.id, [Insight("x", {})])
    await notifier.deliver()
    await notifier.deliver()
    kinds = []
    for headers, body in receiver.told:
        told = orjson.loads(body)
        kinds.append(told["type"])
        assert told["data"]["run"] == str(run.id)
        assert told["data"]["added"] == 5
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert (told["data"]["kind"], told["data"]["restores"]) == ("full", None)
    assert kinds == ["run.committed", "ai.done"]


async def test_a_restore_names_the_snapshot(
    stores: Stores, notifier: Notifier, receiver: Receiver
) -> None:
    old = await committed(stores)
    await committed(stores)
    await hook(stores, f"{receiver.base}/hook", Event.RUN_COMMITTED)
    opened = await restore(stores, old.id)
    await stores.runs.seal(opened.run.id)
    await stores.runs.commit(opened.run.id)
    await notifier.deliver()
    ((_, body),) = receiver.told
    data = orjson.loads(body)["data"]
    assert (data["run"], data["kind"]) == (str(opened.run.id), "restore")
    assert (data["restores"], data["kept"]) == (str(old.id), 5)


async def test_its_url_is_sent_as_it_was_given(
    stores: Stores, notifier: Notifier, receiver: Receiver
) -> None:
    await hook(stores, f"{receiver.base}/hook?sig=a%2Cb%2fc&to=%7E,x")
    await committed(stores)
    await notifier.deliver()
    assert receiver.targets == ["/hook?sig=a%2Cb%2fc&to=%7E,x"]


async def test_only_what_was_asked_for_is_told(
    stores: Stores, notifier: Notifier, receiver: Receiver
) -> None:
    failing = await hook(stores, f"{receiver.base}/hook", Event.RUN_FAILED)
    other = await hook(stores, f"{receiver.base}/hook", brand="adidas")
    await committed(stores)
    await stores.runs.fail((await open_run(stores)).run.id, "source_refused: gone")
    await notifier.deliver()
    assert [orjson.loads(body)["type"] for _, body in receiver.told] == ["run.failed"]
    assert orjson.loads(receiver.told[0][1])["data"]["reason"] == "source_refused: gone"
    assert len(await outcomes(stores, failing)) == 1
    assert await outcomes(stores, other) == []


async def test_a_failing_receiver_is_tried_again_until_it_has_taken_it(
    stores: Stores, notifier: Notifier, receiver: Receiver
) -> None:
    webhook = await hook(stores, f"{receiver.base}/hook", Event.RUN_COMMITTED)
    receiver.answers = [web.Response(status=500), web.Response(status=302)]
    await committed(stores)
    attempts = {"refused": 2, "taken": 1}
    before = {outcome: counted(outcome) for outcome in attempts}
    for _ in range(3):
        await notifier.deliver()
    assert {outcome: counted(outcome) - before[outcome] for outcome in attempts} == attempts
    (outcome,) = await outcomes(stores, webhook)
    assert (outcome.attempts, outcome.delivered_at is not None) == (3, True)
    ids = {headers["webhook-id"] for headers, _ in receiver.told}
    assert ids == {str(outcome.id)}, "the receiver can tell that it is the same"


async def test_a_receiver_that_never_takes_it_is_given_up(
    stores: Stores,
    notifier: Notifier,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_notifier, "ATTEMPTS_MAX", 2)
    webhook = await hook(stores, f"{receiver.base}/hook", Event.RUN_COMMITTED)
    receiver.answers = [web.Response(status=503), web.Response(status=404)]
    await committed(stores)
    for _ in range(3):
        await notifier.deliver()
    (outcome,) = await outcomes(stores, webhook)
    assert (outcome.attempts, outcome.reason) == (2, "HTTP 404")
    assert outcome.failed_at is not None
    assert len(receiver.told) == 2


async def test_retry_after_is_kept(stores: Stores, notifier: Notifier, receiver: Receiver) -> None:
    webhook = await hook(stores, f"{receiver.base}/hook", Event.RUN_COMMITTED)
    receiver.answers = [web.Response(status=429, headers={"Retry-After": "600"})]
    await committed(stores)
    await notifier.deliver()
    await notifier.deliver()
    (outcome,) = await outcomes(stores, webhook)
    assert len(receiver.told) == 1
    assert (outcome.due_at - outcome.created_at).total_seconds() > 590


async def test_an_address_that_is_gone_is_told_no_more(
    stores: Stores, notifier: Notifier, receiver: Receiver
) -> None:
    await hook(stores, f"{receiver.base}/hook", Event.RUN_COMMITTED)
    receiver.answers = [web.Response(status=410)]
    for content in "ab":
        await committed(stores, content=content)
        await notifier.deliver()
    (kept,) = await stores.webhooks.webhooks()
    assert (kept.disabled_at is not None, kept.reason) == (True, "HTTP 410")
    assert len(receiver.told) == 1


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/hook", "http://169.254.169.254/latest", "http://[::1]/", "ftp://x/", "x"],
)
async def test_g9_no_private_address_is_told(stores: Stores, notifier: Notifier, url: str) -> None:
    webhook = await hook(stores, url, Event.RUN_COMMITTED)
    await committed(stores)
    await notifier.deliver()
    (outcome,) = await outcomes(stores, webhook)
    assert outcome.delivered_at is None
    assert outcome.reason


async def test_many_notifiers_deliver_once(
    stores: Stores, notifier: Notifier, receiver: Receiver
) -> None:
    await hook(stores, f"{receiver.base}/hook", Event.RUN_COMMITTED)
    for content in "abcdef":
        await committed(stores, content=content)
    await asyncio.gather(*(notifier.deliver() for _ in range(5)))
    ids = [headers["webhook-id"] for headers, _ in receiver.told]
    assert len(ids) == len(set(ids)) == 6


async def test_webhooks_are_counted_listed_and_deleted(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_webhooks, "WEBHOOKS_MAX", 2)
    first = await hook(stores, "https://a.example/")
    await hook(stores, "https://b.example/")
    with pytest.raises(Conflict, match="2 webhooks"):
        await hook(stores, "https://c.example/")
    await committed(stores)
    await stores.webhooks.delete_webhook(first.id)
    with pytest.raises(WebhookNotFound):
        await stores.webhooks.delete_webhook(first.id)
    assert [kept.url for kept in await stores.webhooks.webhooks()] == ["https://b.example/"]
    assert "0123456789" not in repr(first)
