"""SQS that throttles, and takes a part of a batch only: a proxy before the emulator does both."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aws_local.emulator import REGION, Emulator

from tests.support.contracts.queue_contract import HIDDEN_S, PATIENCE_S, numbered, take
from triptych.errors import QueueUnavailable
from triptych.messages import URL_QUEUE
from triptych.queues.sqs import sqs_queue as sqs
from triptych.queues.sqs.create import create_queues
from triptych.queues.sqs.sqs_queue import SqsQueue

numbers = itertools.count(1)
BATCHES = {"SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"}


class FaultyProxy:
    """Hands requests on, and fails as it is told; counts what it saw."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.throttle = 0
        """Requests that are refused before one is let through."""
        self.refuse = 0
        """Batches of which ``refused`` is refused."""
        self.refused = slice(1, None, 2)
        self.sender_fault = False
        self.seen: list[tuple[str, int]] = []

    async def handle(self, request: web.Request) -> web.Response:
        operation = request.headers["X-Amz-Target"].rpartition(".")[2]
        body = json.loads(await request.read())
        self.seen.append((operation, len(body.get("Entries", ()))))
        if self.throttle:
            self.throttle -= 1
            return web.json_response(
                {"__type": "com.amazonaws.sqs#RequestThrottled", "message": "Rate exceeded"},
                status=400,
                headers={"x-amzn-query-error": "RequestThrottled;Sender"},
            )
        failed = []
        if operation in BATCHES and self.refuse:
            self.refuse -= 1
            failed = body["Entries"][self.refused]
            body["Entries"] = [entry for entry in body["Entries"] if entry not in failed]
            if not body["Entries"]:
                return web.json_response({"Failed": self._failures(failed)})
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                self.target,
                data=json.dumps(body),
                headers={
                    name: request.headers[name]
                    for name in ("X-Amz-Target", "Content-Type", "Authorization", "X-Amz-Date")
                },
            ) as answer,
        ):
            found = await answer.json(content_type=None)
            if failed:
                found["Failed"] = self._failures(failed)
            return web.json_response(found, status=answer.status)

    def _failures(self, entries: list[dict[str, object]]) -> list[dict[str, object]]:
        code = "InvalidMessageContents" if self.sender_fault else "InternalError"
        return [{"Id": e["Id"], "Code": code, "SenderFault": self.sender_fault} for e in entries]


@pytest.fixture
async def proxy(aws: Emulator, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultyProxy]:
    faulty = FaultyProxy(aws.endpoint)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", faulty.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield faulty
    await runner.cleanup()


@pytest.fixture
async def queue(proxy: FaultyProxy) -> AsyncIterator[SqsQueue]:
    prefix = f"f{next(numbers)}-"
    await create_queues(region=REGION, prefix=prefix, max_receives=3, visibility_s=HIDDEN_S)
    opened = SqsQueue(region=REGION, prefix=prefix)
    await opened.check()
    proxy.seen.clear()
    yield opened
    await opened.close()


async def test_g4_refused_entries_alone_are_sent_again(queue: SqsQueue, proxy: FaultyProxy) -> None:
    proxy.refuse = 2
    await queue.send(URL_QUEUE, numbered(10))
    assert proxy.seen == [("SendMessageBatch", n) for n in (10, 5, 2)]
    found = await take(queue, limit=20, wait_s=PATIENCE_S)
    assert sorted(d.body["metadata"]["n"] for d in found) == list(range(10))


async def test_g4_entries_that_are_always_refused_are_told(
    queue: SqsQueue, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqs, "ENTRY_BACKOFF_S", 0.001)
    proxy.refuse, proxy.refused = 1000, slice(0, 1)
    with pytest.raises(QueueUnavailable, match="refused 1 of 10 entries"):
        await queue.send(URL_QUEUE, numbered(20))
    assert len(proxy.seen) == 2 * sqs.ENTRY_TRIES


async def test_g4_what_is_the_senders_fault_is_not_tried_again(
    queue: SqsQueue, proxy: FaultyProxy
) -> None:
    proxy.refuse, proxy.sender_fault = 1000, True
    with pytest.raises(QueueUnavailable, match="InvalidMessageContents"):
        await queue.send(URL_QUEUE, numbered(2))
    assert len(proxy.seen) == 1


async def test_g3_throttling_is_waited_out(queue: SqsQueue, proxy: FaultyProxy) -> None:
    proxy.throttle = 2
    await queue.send(URL_QUEUE, numbered(1))
    assert proxy.seen == [("SendMessageBatch", 1)] * 3


async def test_g3_throttling_that_lasts_is_an_outage(queue: SqsQueue, proxy: FaultyProxy) -> None:
    proxy.throttle = 1000
    with pytest.raises(QueueUnavailable, match="Rate exceeded"):
        await queue.receive(URL_QUEUE, limit=1, visibility_s=1, wait_s=0)


async def test_batches_are_full(queue: SqsQueue, proxy: FaultyProxy) -> None:
    await queue.send(URL_QUEUE, numbered(25))
    assert sorted(proxy.seen, reverse=True) == [("SendMessageBatch", n) for n in (10, 10, 5)]
    proxy.seen.clear()
    found = await take(queue, limit=100, wait_s=PATIENCE_S)
    assert len(found) == 25
    proxy.seen.clear()
    await queue.extend(found, HIDDEN_S)
    await queue.delete(found)
    assert sum(entries for _, entries in proxy.seen) == 50
    assert len(proxy.seen) == 6


async def test_an_empty_queue_costs_one_request(queue: SqsQueue, proxy: FaultyProxy) -> None:
    assert not await queue.receive(URL_QUEUE, limit=100, visibility_s=HIDDEN_S, wait_s=1)
    assert proxy.seen == [("ReceiveMessage", 0)]
