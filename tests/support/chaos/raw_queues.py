"""The queues as any other program may write to them: whatever they can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import asyncpg
from aws_local.emulator import REGION

from tests.support.chaos.brands import Brand
from tests.support.chaos.poison import Poison, attributes, body, headers
from tests.support.chaos.trial_database import AWAY, TrialDatabase
from triptych.messages import (
    AI_QUEUE,
    GATHER_QUEUE,
    QUEUES,
    URL_QUEUE,
    Headers,
    Message,
    dead_letter_queue,
)
from triptych.queues.sqs.sqs_client import FAILURES, AwsClient
from triptych.queues.sqs.sqs_queue import SqsQueue

DOUBLED_MAX = 30
"""Messages of one queue that one action doubles."""
BRAND_PREFIX = "brand-"
ALL = [*QUEUES, *map(dead_letter_queue, QUEUES)]
COUNTS = (
    *("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"),
    "ApproximateNumberOfMessagesNotVisible",
)


_RUNS = "select id as run_id, null::bytea as key, brand, null as url from runs"
SENT = {
    GATHER_QUEUE: f"{_RUNS} where kind = 'full' order by created_at desc limit $1",
    AI_QUEUE: f"{_RUNS} where state = 'committed' order by ended_at desc limit $1",
    URL_QUEUE: "select i.run_id, i.key, r.brand, i.url from items i join runs r on r.id = i.run_id "
    "where i.sent_at is not null order by (i.state = 'pending') desc, i.sent_at desc limit $1",
}
"""What says which messages were sent to each queue: the newest, and those that are out first."""


class Lost(Exception):
    """The answer to a send was lost: the message may exist, under an id that is not known."""


class RawQueues(Protocol):
    """A shape's queues."""

    async def send(self, queue: str, bodies: Sequence[Mapping[str, Any]]) -> None:
        """Send bodies without headers, until all were accepted; some may be there twice."""
        ...

    async def poison(self, queue: str, poison: Poison) -> str:
        """Send a message that is none, once; return the id that its dead letter will have.

        Raises:
            Lost: it may have been sent.
        """
        ...

    async def double(self, queue: str, copies: int) -> int:
        """Send messages that wait or are in flight again; return how many were sent."""
        ...

    async def left(self) -> dict[str, int]:
        """Return how many messages each queue that is not empty holds."""
        ...

    async def close(self) -> None:
        """Close what it holds."""
        ...


def url_messages(brand: Brand, urls: Sequence[str]) -> list[dict[str, Any]]:
    """Return the bodies of a brand that comes in URL by URL."""
    return [
        {"brand": brand.name, "url": url, "metadata": {"place": number}}
        for number, url in enumerate(urls)
    ]


class PgmqTables(RawQueues):
    """The tables of pgmq."""

    def __init__(self, database: TrialDatabase) -> None:
        self._database = database

    async def send(self, queue: str, bodies: Sequence[Mapping[str, Any]]) -> None:
        await self._database.fetch(
            f'insert into pgmq."q_{queue}" (vt, message) '
            "select clock_timestamp(), each::jsonb from unnest($1::text[]) as each",
            [json.dumps(each) for each in bodies],
        )

    async def poison(self, queue: str, poison: Poison) -> str:
        async with self._database.connection() as connection:
            try:
                row = await connection.fetchrow(
                    f'insert into pgmq."q_{queue}" (vt, message, headers) '
                    "values (clock_timestamp(), $1::text::jsonb, $2::text::jsonb) "
                    "returning msg_id, enqueued_at",
                    body(poison),
                    headers(poison),
                )
            except AWAY as error:
                raise Lost(str(error)) from error
        return f"{row['msg_id']}-{int(row['enqueued_at'].timestamp() * 1_000_000)}"

    async def double(self, queue: str, copies: int) -> int:
        # Their own messages only: a doubled poison would be two.
        rows = await self._database.once(
            f'insert into pgmq."q_{queue}" (vt, message, headers) '
            "select clock_timestamp(), message, headers from ("
            f'  select message, headers from pgmq."q_{queue}" '
            f"  where message ->> 'brand' like '{BRAND_PREFIX}%' limit {DOUBLED_MAX}"
            ") as chosen cross join generate_series(1, $1::integer) returning 1",
            copies,
        )
        return len(rows)

    async def left(self) -> dict[str, int]:
        rows = await self._database.fetch("select queue_name, queue_length from pgmq.metrics_all()")
        return {row["queue_name"]: row["queue_length"] for row in rows if row["queue_length"]}

    async def close(self) -> None:
        pass


class SqsMessages(RawQueues):
    """The queues of SQS, in the environment of this process."""

    def __init__(self, prefix: str, database: TrialDatabase) -> None:
        self._client = AwsClient("sqs", REGION)
        self._queue = SqsQueue(region=REGION, prefix=prefix)
        self._prefix = prefix
        self._database = database

    async def send(self, queue: str, bodies: Sequence[Mapping[str, Any]]) -> None:
        for each in bodies:
            await self._until_done("send_message", queue, MessageBody=json.dumps(each))

    async def poison(self, queue: str, poison: Poison) -> str:
        text = body(poison)
        assert text is not None
        try:
            answer = await self._call(
                "send_message", queue, MessageBody=text, MessageAttributes=attributes(poison)
            )
        except FAILURES as error:
            raise Lost(str(error)) from error
        message_id: str = answer["MessageId"]
        return message_id

    async def double(self, queue: str, copies: int) -> int:
        # What is in flight cannot be read from SQS; the database knows what was sent.
        rows = await self._database.once(SENT[queue], DOUBLED_MAX)
        messages = [_again(row) for row in rows] * copies
        await self._queue.send(queue, messages)
        return len(messages)

    async def left(self) -> dict[str, int]:
        found = {}
        for queue in ALL:
            answer = await self._until_done(
                "get_queue_attributes", queue, AttributeNames=list(COUNTS)
            )
            if count := sum(int(answer["Attributes"].get(name, 0)) for name in COUNTS):
                found[queue] = count
        return found

    async def close(self) -> None:
        await self._client.close()
        await self._queue.close()

    async def _until_done(self, operation: str, queue: str, **request: Any) -> dict[str, Any]:
        """Call until it succeeds: SQS may be frozen for some seconds, which a call may outlast."""
        for _ in range(4):
            try:
                return await self._call(operation, queue, **request)
            except FAILURES:
                continue
        return await self._call(operation, queue, **request)

    async def _call(self, operation: str, queue: str, **request: Any) -> dict[str, Any]:
        url = await self._client.call("get_queue_url", QueueName=self._prefix + queue)
        return await self._client.call(operation, QueueUrl=url["QueueUrl"], **request)


def _again(row: asyncpg.Record) -> Message:
    """Return the message that a row of `SENT` says was sent."""
    body = {"brand": row["brand"]}
    if row["url"] is not None:
        body |= {"url": row["url"], "metadata": {}}
    return Message(body, Headers(row["run_id"], row["key"]).encode(), row["brand"])
