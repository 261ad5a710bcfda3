"""Row 5: the SQS adapter beside a bare loop; what is counted is the client's processor time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import orjson
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aws_local.emulator import Emulator

from bench.lanes import Contender, Lane, Spent, Tell, figures, measured
from bench.paths import WORK
from bench.program import Given, Ready
from bench.results import Aim, Entry, each_compared
from triptych.messages import URL_QUEUE, Headers, Message
from triptych.queues.sqs.create import create_queues
from triptych.queues.sqs.sqs_queue import AT_ONCE, SqsQueue

ROW = 5
TITLE = "messages over SQS"
FULL = {"messages": 5_000, "rounds": 5}
REDUCED = {"messages": 200, "rounds": 1}
BARE = {"aiobotocore": ("bare aiobotocore, the same batches", Aim("≤ 1.1", most=1.1))}
BATCH = 10
FIRST = 300
"""Messages that are not counted: enough to open every connection."""
HELD = 100
"""Messages received before they are deleted, as our consumers do."""
VISIBILITY_S = 60
CONNECTIONS = 50


def bodies(count: int) -> list[dict[str, Any]]:
    """Return what the messages say."""
    return [
        {"brand": "bench", "url": f"https://bench.example/{n}.jpg", "metadata": {"n": n}}
        for n in range(count)
    ]


async def by_adapter(queue: SqsQueue, headers: Mapping[str, str], count: int) -> None:
    """Send, receive and delete."""
    await queue.send(URL_QUEUE, [Message(body, headers, "bench") for body in bodies(count)])
    while count:
        found = await queue.receive(URL_QUEUE, limit=HELD, visibility_s=VISIBILITY_S, wait_s=1)
        await queue.delete(found)
        count -= len(found)


class Bare:
    """The same with nothing in between: as many requests at a time, as many messages in each."""

    def __init__(self, client: Any, url: str, headers: Mapping[str, str]) -> None:
        self._client = client
        self._url = url
        self._attributes = {
            name: {"DataType": "String", "StringValue": value} for name, value in headers.items()
        }
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def work(self, count: int) -> None:
        """Send, receive and delete."""
        entries = [
            {
                "Id": str(number % BATCH),
                "MessageBody": orjson.dumps(body).decode(),
                "MessageAttributes": self._attributes,
                "MessageGroupId": "bench",
            }
            for number, body in enumerate(bodies(count))
        ]
        starts = range(0, count, BATCH)
        await asyncio.gather(*(self._send(entries[start : start + BATCH]) for start in starts))
        while count:
            found = await asyncio.gather(*(self._receive() for _ in range(HELD // BATCH)))
            count -= sum(await asyncio.gather(*map(self._delete, found)))

    async def _send(self, batch: list[dict[str, Any]]) -> None:
        async with self._slots:
            answer = await self._client.send_message_batch(QueueUrl=self._url, Entries=batch)
            assert not answer.get("Failed")

    async def _receive(self) -> list[dict[str, Any]]:
        answer = await self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=BATCH,
            VisibilityTimeout=VISIBILITY_S,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
            MessageAttributeNames=["All"],
        )
        found: list[dict[str, Any]] = answer.get("Messages", [])
        for each in found:
            orjson.loads(each["Body"])
        return found

    async def _delete(self, batch: list[dict[str, Any]]) -> int:
        if batch:
            gone = [
                {"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]}
                for number, each in enumerate(batch)
            ]
            answer = await self._client.delete_message_batch(QueueUrl=self._url, Entries=gone)
            assert not answer.get("Failed")
        return len(batch)


async def ready(work: Callable[[int], Awaitable[None]]) -> Ready:
    """Return what is ready: after some messages that are not counted."""
    await work(FIRST)
    return Ready(lambda order: work(order["messages"]))


@asynccontextmanager
async def messages(arguments: Given) -> AsyncIterator[Ready]:
    """Make queues, and send messages through one: by our adapter, or bare."""
    prefix = f"bench-{uuid4().hex[:8]}-"
    await create_queues(region=None, prefix=prefix, max_receives=20, visibility_s=VISIBILITY_S)
    headers = Headers(uuid4(), b"\x01" * 16, None).encode()
    if arguments["bare"]:
        config = AioConfig(max_pool_connections=CONNECTIONS)
        async with get_session().create_client("sqs", config=config) as client:
            url = (await client.get_queue_url(QueueName=prefix + URL_QUEUE))["QueueUrl"]
            yield await ready(Bare(client, url, headers).work)
        return
    queue = SqsQueue(prefix=prefix)
    yield await ready(lambda count: by_adapter(queue, headers, count))
    await queue.close()


def measure(size: dict[str, int], tell: Tell) -> list[Entry]:
    messages = size["messages"]

    def work(lane: Lane) -> Spent:
        return lane.run(messages=messages)

    with Emulator(WORK / "emulator") as emulator:
        contenders = [
            Contender(
                name,
                "bench.rows.messages:messages",
                {"bare": name in BARE},
                environment=emulator.environment,
            )
            for name in ("triptych", *BARE)
        ]
        spent = measured(contenders, work, size["rounds"], tell)
    return each_compared(
        ROW,
        f"{messages:,} messages sent, received and deleted on a local SQS",
        "µs of client CPU a message",
        figures(spent, lambda s: 1e6 * s.cpu_s / messages),
        BARE,
        wall=figures(spent, lambda s: round(messages / s.wall_s)),
    )
