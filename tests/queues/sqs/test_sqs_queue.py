"""SQS keeps the contract of the port Queue, and what is SQS' own: over its real wire protocol."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping

import pytest
from aws_local.emulator import REGION, Emulator

from tests.support.contracts.queue_contract import (
    HIDDEN_S,
    MAX_RECEIVES,
    PATIENCE_S,
    QueueContract,
    take,
)
from triptych.errors import QueueUnavailable
from triptych.messages import (
    AI_QUEUE,
    QUEUES,
    URL_QUEUE,
    Message,
    dead_letter_queue,
)
from triptych.queues.sqs.create import create_queues
from triptych.queues.sqs.sqs_client import AwsClient
from triptych.queues.sqs.sqs_queue import SqsQueue

numbers = itertools.count(1)


@pytest.fixture
def prefix() -> str:
    return f"t{next(numbers)}-"


@pytest.fixture
async def queue(aws: Emulator, prefix: str) -> AsyncIterator[SqsQueue]:
    await create_queues(
        region=REGION, prefix=prefix, max_receives=MAX_RECEIVES, visibility_s=HIDDEN_S
    )
    opened = SqsQueue(region=REGION, prefix=prefix)
    yield opened
    await opened.close()


@pytest.fixture
async def raw(aws: Emulator) -> AsyncIterator[AwsClient]:
    client = AwsClient("sqs", REGION)
    yield client
    await client.close()


async def url_of(raw: AwsClient, name: str) -> str:
    url: str = (await raw.call("get_queue_url", QueueName=name))["QueueUrl"]
    return url


class TestSqs(QueueContract):
    async def test_making_queues_again_changes_nothing(self, queue: SqsQueue, prefix: str) -> None:
        again = await create_queues(
            region=REGION, prefix=prefix, max_receives=99, visibility_s=HIDDEN_S
        )
        assert again == []
        await queue.check()

    async def test_check_names_a_missing_queue(
        self, queue: SqsQueue, raw: AwsClient, prefix: str
    ) -> None:
        await raw.call("delete_queue", QueueUrl=await url_of(raw, prefix + URL_QUEUE))
        with pytest.raises(QueueUnavailable, match=r"url-process-queue does not exist.*migrate"):
            await queue.check()

    async def test_check_names_a_queue_whose_dead_letters_go_nowhere(
        self, queue: SqsQueue, raw: AwsClient, prefix: str
    ) -> None:
        await raw.call(
            "set_queue_attributes",
            QueueUrl=await url_of(raw, prefix + AI_QUEUE),
            Attributes={"RedrivePolicy": ""},
        )
        with pytest.raises(QueueUnavailable, match=r"brand-ai-phase-queue has no redrive policy"):
            await queue.check()

    async def test_a_strangers_message_is_delivered(
        self, queue: SqsQueue, raw: AwsClient, prefix: str
    ) -> None:
        url = await url_of(raw, prefix + URL_QUEUE)
        await raw.call("send_message", QueueUrl=url, MessageBody="no JSON at all")
        attributes = {
            "n": {"DataType": "Number", "StringValue": "1"},
            "b": {"DataType": "Binary", "BinaryValue": b"\x00"},
        }
        body = '{"brand": "nike"}'
        await raw.call("send_message", QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
        found: dict[str, Mapping[str, str]] = {}
        while len(found) < 2:
            deliveries = await take(queue, wait_s=PATIENCE_S)
            assert deliveries
            found |= {str(d.body): d.headers for d in deliveries}
        assert found == {"no JSON at all": {}, "{'brand': 'nike'}": {"n": "1"}}

    async def test_a_brand_is_a_message_group(
        self, queue: SqsQueue, raw: AwsClient, prefix: str
    ) -> None:
        await queue.send(URL_QUEUE, [Message({"brand": "nike"}, {}, "nike")])
        answer = await raw.call(
            "receive_message",
            QueueUrl=await url_of(raw, prefix + URL_QUEUE),
            MessageSystemAttributeNames=["All"],
            WaitTimeSeconds=5,
        )
        (message,) = answer["Messages"]
        assert message["Attributes"]["MessageGroupId"] == "nike"

    async def test_large_messages_go_in_more_requests(self, queue: SqsQueue) -> None:
        large = [
            Message({"brand": "nike", "url": str(n), "metadata": {"x": "é" * 15_000}})
            for n in range(23)
        ]
        await queue.send(URL_QUEUE, large)
        seen: set[str] = set()
        while len(seen) < len(large):
            found = await take(queue, limit=100, wait_s=PATIENCE_S)
            assert found, "some were lost"
            assert all(d.body["metadata"] == {"x": "é" * 15_000} for d in found)
            seen |= {d.body["url"] for d in found}

    async def test_a_dead_letter_of_sqs_own_keeps_its_id(self, queue: SqsQueue) -> None:
        await queue.send(AI_QUEUE, [Message({"brand": "nike"}, {"traceparent": "t"})])
        ids = set()
        for _ in range(MAX_RECEIVES):
            (found,) = await take(queue, AI_QUEUE, wait_s=PATIENCE_S)
            ids.add(found.id)
            await queue.extend([found], 0)
        assert not await take(queue, AI_QUEUE)
        (dead,) = await take(queue, dead_letter_queue(AI_QUEUE), wait_s=PATIENCE_S)
        assert {dead.id} == ids
        assert dead.headers == {"traceparent": "t"}

    async def test_ages_come_from_cloudwatch(
        self, queue: SqsQueue, aws: Emulator, prefix: str
    ) -> None:
        watch = AwsClient("cloudwatch", REGION)
        data = {
            "MetricName": "ApproximateAgeOfOldestMessage",
            "Dimensions": [{"Name": "QueueName", "Value": prefix + URL_QUEUE}],
            "Value": 42.0,
            "Unit": "Seconds",
        }
        await watch.call("put_metric_data", Namespace="AWS/SQS", MetricData=[data])
        await watch.close()
        await queue.send(URL_QUEUE, [Message({"brand": "nike"})])
        ages = {depth.queue: depth.oldest_s for depth in await queue.depths()}
        assert ages.pop(URL_QUEUE) == 42.0
        assert set(ages.values()) == {None}
        assert len(ages) == 2 * len(QUEUES) - 1

    async def test_away_is_said_in_one_line(
        self, aws: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        away = SqsQueue(region=REGION)
        with pytest.raises(QueueUnavailable, match="SQS failed") as caught:
            await away.check()
        assert "\n" not in str(caught.value)
        await away.close()
