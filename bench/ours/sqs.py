"""Messages through an SQS queue: by our adapter, or by a bare aiobotocore loop with its batches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import orjson
import uvloop
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from bench.track import Track
from triptych.messages import URL_QUEUE, Delivery, Headers, Message
from triptych.queues.sqs.create import create_queues
from triptych.queues.sqs.sqs_queue import AT_ONCE, SqsQueue

BATCH = 10
FIRST = 300
"""Messages that are not counted: enough to open every connection."""
HELD = 100
"""Messages received before they are deleted, as our consumers do."""
VISIBILITY_S = 60


def bodies(count: int) -> list[dict[str, Any]]:
    """Return what the messages say."""
    return [
        {"brand": "bench", "url": f"https://bench.example/{n}.jpg", "metadata": {"n": n}}
        for n in range(count)
    ]


async def by_adapter(queue: SqsQueue, count: int, headers: dict[str, str]) -> None:
    """Send, receive and delete."""
    await queue.send(URL_QUEUE, [Message(body, headers, "bench") for body in bodies(count)])
    left = count
    while left:
        found: Sequence[Delivery] = await queue.receive(
            URL_QUEUE, limit=HELD, visibility_s=VISIBILITY_S, wait_s=1
        )
        await queue.delete(found)
        left -= len(found)


async def bare(client: Any, url: str, count: int, headers: dict[str, str]) -> None:
    """Do the same with nothing in between: as many requests at a time, as many messages in each."""
    attributes = {
        name: {"DataType": "String", "StringValue": value} for name, value in headers.items()
    }
    entries = [
        {
            "Id": str(number % BATCH),
            "MessageBody": orjson.dumps(body).decode(),
            "MessageAttributes": attributes,
            "MessageGroupId": "bench",
        }
        for number, body in enumerate(bodies(count))
    ]
    slots = asyncio.Semaphore(AT_ONCE)

    async def send(batch: list[dict[str, Any]]) -> None:
        async with slots:
            answer = await client.send_message_batch(QueueUrl=url, Entries=batch)
            assert not answer.get("Failed")

    async def receive() -> list[dict[str, Any]]:
        answer = await client.receive_message(
            QueueUrl=url,
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

    async def delete(batch: list[dict[str, Any]]) -> int:
        if not batch:
            return 0
        gone = [
            {"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]}
            for number, each in enumerate(batch)
        ]
        answer = await client.delete_message_batch(QueueUrl=url, Entries=gone)
        assert not answer.get("Failed")
        return len(batch)

    await asyncio.gather(
        *(send(entries[start : start + BATCH]) for start in range(0, count, BATCH))
    )
    left = count
    while left:
        found = await asyncio.gather(*(receive() for _ in range(HELD // BATCH)))
        left -= sum(await asyncio.gather(*map(delete, found)))


async def main() -> None:
    track = Track()
    prefix = f"bench-{uuid4().hex[:8]}-"
    await create_queues(region=None, prefix=prefix, max_receives=20, visibility_s=VISIBILITY_S)
    headers = Headers(uuid4(), b"\x01" * 16, None).encode()
    if track.arguments["bare"]:
        config = AioConfig(max_pool_connections=50)
        async with get_session().create_client("sqs", config=config) as client:
            url = (await client.get_queue_url(QueueName=prefix + URL_QUEUE))["QueueUrl"]
            await bare(client, url, FIRST, headers)
            track.say()
            while (order := await track.next_order()) is not None:
                await bare(client, url, order["messages"], headers)
                track.say()
        return
    queue = SqsQueue(prefix=prefix)
    await by_adapter(queue, FIRST, headers)
    track.say()
    while (order := await track.next_order()) is not None:
        await by_adapter(queue, order["messages"], headers)
        track.say()
    await queue.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
