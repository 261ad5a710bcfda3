"""`Queue` on SQS standard queues, each with a dead-letter queue.

Redelivery past ``maxReceiveCount`` is handled by SQS: its redrive policy moves a message to the
dead-letter queue, with its id and attributes unchanged. Standard queues with a
``MessageGroupId`` are fair: a brand with a large backlog does not delay the others
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

from typing_extensions import override

from triptych.errors import QueueUnavailable
from triptych.messages import (
    HEADER_ORIGIN_ID,
    HEADER_REASON,
    QUEUES,
    Delivery,
    Message,
    dead_letter_queue,
)
from triptych.queues.queue import Queue, QueueDepth
from triptych.queues.sqs.ages import Ages
from triptych.queues.sqs.entries import (
    BATCH_ENTRIES,
    Entry,
    batches,
    decode,
    encode,
    fitting,
    visibility,
)
from triptych.queues.sqs.sqs_client import FAILURES, AwsClient, error_code, unavailable
from triptych.runtime.retry import backoff

WAIT_MAX_S = 20
ENTRY_TRIES = 5
ENTRY_BACKOFF_S = 0.1
ENTRY_BACKOFF_CAP_S = 2.0
AT_ONCE = 10
"""Concurrent requests of one call."""
GONE = {"ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue"}
"""Codes of an entry whose message was deleted, or whose receipt is of an earlier delivery."""
MISSING = {"QueueDoesNotExist", "NonExistentQueue"}
COUNTS = (
    *("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"),
    "ApproximateNumberOfMessagesNotVisible",
)

T = TypeVar("T")


class SqsQueue(Queue):
    """Queues named ``prefix`` + name. The redrive policy sets how often a message is received."""

    poll_wait_s = 5.0
    """An empty queue costs one request in this many seconds."""

    def __init__(self, *, region: str | None = None, prefix: str = "") -> None:
        self._client = AwsClient("sqs", region)
        self._ages = Ages(region, prefix)
        self._prefix = prefix
        self._urls: dict[str, str] = {}

    @override
    async def check(self) -> None:
        """A queue without a redrive policy counts as missing."""
        for queue in QUEUES:
            await self._url(dead_letter_queue(queue))
            answer = await self._call(
                "get_queue_attributes", queue, AttributeNames=["RedrivePolicy"]
            )
            if "RedrivePolicy" not in answer.get("Attributes", {}):
                raise QueueUnavailable(
                    f"The queue {self._prefix}{queue} has no redrive policy.",
                    remedy="Give it one that points to its dead-letter queue, or delete it and run "
                    "`triptych migrate`.",
                )

    @override
    async def send(self, queue: str, messages: Sequence[Message], *, delay_s: float = 0) -> None:
        """A delay is 15 minutes at most."""
        requests = batches([encode(message, delay_s) for message in messages])
        await _each(
            [self._settle_entries("send_message_batch", queue, batch) for batch in requests]
        )

    @override
    async def receive(
        self, queue: str, *, limit: int, visibility_s: float, wait_s: float
    ) -> Sequence[Delivery]:
        """One long poll; more requests only if it was full."""
        found = await self._receive(queue, min(limit, BATCH_ENTRIES), visibility_s, wait_s)
        left = limit - len(found)
        if len(found) < BATCH_ENTRIES or left <= 0:
            return found
        sizes = [BATCH_ENTRIES] * (left // BATCH_ENTRIES) + [left % BATCH_ENTRIES]
        answers = await asyncio.gather(
            *(self._receive(queue, size, visibility_s, 0) for size in sizes[:AT_ONCE] if size),
            return_exceptions=True,
        )
        for answer in answers:
            # Messages of the other requests are hidden already: return them instead of the failure.
            if isinstance(answer, list):
                found += answer
            elif not isinstance(answer, QueueUnavailable):
                raise answer
        return found

    async def _receive(
        self, queue: str, size: int, visibility_s: float, wait_s: float
    ) -> list[Delivery]:
        answer = await self._call(
            "receive_message",
            queue,
            MaxNumberOfMessages=size,
            VisibilityTimeout=visibility(visibility_s),
            WaitTimeSeconds=min(WAIT_MAX_S, math.ceil(wait_s)),
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
            MessageAttributeNames=["All"],
        )
        return [decode(queue, raw) for raw in answer.get("Messages", ())]

    @override
    async def extend(self, deliveries: Sequence[Delivery], visibility_s: float) -> None:
        """SQS hides for 12 hours in all at most."""
        timeout = {"VisibilityTimeout": visibility(visibility_s)}
        await self._change("change_message_visibility_batch", deliveries, timeout)

    @override
    async def delete(self, deliveries: Sequence[Delivery]) -> None:
        await self._change("delete_message_batch", deliveries, {})

    async def _change(self, operation: str, deliveries: Sequence[Delivery], values: Entry) -> None:
        await _each(
            [
                self._settle_entries(
                    operation, queue, [{"ReceiptHandle": d.receipt, **values} for d in batch]
                )
                for queue, group in _by_queue(deliveries)
                for batch in _chunks(group)
            ]
        )

    @override
    async def put_off(self, delivery: Delivery, delay_s: float, *, counted: bool) -> None:
        """SQS cannot forget receives: what does not count is replaced by a delayed copy."""
        if counted:
            await self.extend([delivery], delay_s)
            return
        brand = delivery.body.get("brand") if isinstance(delivery.body, dict) else None
        copy = Message(delivery.body, delivery.headers, brand if isinstance(brand, str) else None)
        await self.send(delivery.queue, [copy], delay_s=delay_s)
        await self.delete([delivery])

    @override
    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        """If the process is killed in between, the message exists twice."""
        headers = {**delivery.headers, HEADER_REASON: reason, HEADER_ORIGIN_ID: delivery.id}
        brand = delivery.body.get("brand") if isinstance(delivery.body, dict) else None
        copy = Message(delivery.body, headers, brand if isinstance(brand, str) else None)
        await self.send(dead_letter_queue(delivery.queue), [fitting(copy)])
        await self.delete([delivery])

    @override
    async def depths(self) -> Sequence[QueueDepth]:
        """SQS's counts are approximate; ages come from CloudWatch."""
        names = [name for queue in QUEUES for name in (queue, dead_letter_queue(queue))]
        ages = await self._ages.read(names)
        answers = await _each(
            [self._call("get_queue_attributes", name, AttributeNames=COUNTS) for name in names]
        )
        return [_depth(name, answer, ages) for name, answer in zip(names, answers, strict=True)]

    @override
    async def close(self) -> None:
        await self._client.close()
        await self._ages.close()

    async def _settle_entries(self, operation: str, queue: str, entries: Sequence[Entry]) -> None:
        """Send a batch request, and repeat it with the entries that failed."""
        left = list(entries)
        for attempt in range(1, ENTRY_TRIES + 1):
            numbered = [{**entry, "Id": str(number)} for number, entry in enumerate(left)]
            answer = await self._call(operation, queue, Entries=numbered)
            failed = [f for f in answer.get("Failed", ()) if not _settled(operation, f)]
            if not failed:
                return
            if any(entry.get("SenderFault") for entry in failed) or attempt == ENTRY_TRIES:
                break
            left = [left[int(entry["Id"])] for entry in failed]
            await asyncio.sleep(backoff(attempt, base_s=ENTRY_BACKOFF_S, cap_s=ENTRY_BACKOFF_CAP_S))
        first = failed[0]
        raise QueueUnavailable(
            f"SQS refused {len(failed)} of {len(entries)} entries of {operation} on {queue}: "
            f"{first.get('Code')} {first.get('Message', '')}."
        )

    async def _call(self, operation: str, queue: str, **request: object) -> dict[str, Any]:
        url = await self._url(queue)
        try:
            return await self._client.call(operation, QueueUrl=url, **request)
        except FAILURES as error:
            if error_code(error) in MISSING:
                self._urls.pop(queue, None)
                raise self._missing(queue) from error
            raise unavailable(error) from error

    async def _url(self, queue: str) -> str:
        if queue not in self._urls:
            try:
                answer = await self._client.call("get_queue_url", QueueName=self._prefix + queue)
            except FAILURES as error:
                if error_code(error) in MISSING:
                    raise self._missing(queue) from error
                raise unavailable(error) from error
            self._urls[queue] = answer["QueueUrl"]
        return self._urls[queue]

    def _missing(self, queue: str) -> QueueUnavailable:
        return QueueUnavailable(
            f"The queue {self._prefix}{queue} does not exist.", remedy="Run `triptych migrate`."
        )


async def _each(calls: Sequence[Awaitable[T]]) -> list[T]:
    """Await all, some at a time; then raise the first failure, so that every call ends."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(call: Awaitable[T]) -> T:
        async with slots:
            return await call

    answers = await asyncio.gather(*map(one, calls), return_exceptions=True)
    good: list[T] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        good.append(answer)
    return good


def _settled(operation: str, failed: Mapping[str, Any]) -> bool:
    """Return whether a failed entry can be ignored: its message no longer exists."""
    code = str(failed.get("Code", "")).rpartition(".")[2]
    return operation != "send_message_batch" and code in GONE


def _by_queue(deliveries: Sequence[Delivery]) -> Iterator[tuple[str, list[Delivery]]]:
    ordered = sorted(deliveries, key=lambda delivery: delivery.queue)
    for queue, group in groupby(ordered, key=lambda delivery: delivery.queue):
        yield queue, list(group)


def _chunks(deliveries: list[Delivery]) -> Iterator[list[Delivery]]:
    for start in range(0, len(deliveries), BATCH_ENTRIES):
        yield deliveries[start : start + BATCH_ENTRIES]


def _depth(name: str, answer: Mapping[str, Any], ages: Mapping[str, float]) -> QueueDepth:
    visible, delayed, hidden = (int(answer["Attributes"].get(count, 0)) for count in COUNTS)
    held = visible + delayed + hidden
    return QueueDepth(
        queue=name,
        waiting=visible,
        in_flight=hidden,
        oldest_s=ages.get(name) if held else None,
        delayed=delayed,
    )
