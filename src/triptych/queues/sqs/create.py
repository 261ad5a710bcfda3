"""Creating the queues where no infrastructure template does: for emulators and first steps."""

from __future__ import annotations

import json
from collections.abc import Sequence

from triptych.messages import QUEUES, dead_letter_queue
from triptych.queues.sqs.entries import visibility
from triptych.queues.sqs.sqs_client import FAILURES, AwsClient, error_code, unavailable
from triptych.queues.sqs.sqs_queue import MISSING

RETENTION_S = 14 * 24 * 3600
"""The longest retention of SQS: longer than any run can last."""


async def create_queues(
    *, region: str | None, prefix: str, max_receives: int, visibility_s: float
) -> Sequence[str]:
    """Create the missing queues, dead-letter queues first; return their names.

    Existing queues are not changed. Safe to repeat, also concurrently.

    Raises:
        QueueUnavailable: SQS does not answer, or does not allow it.
    """
    client = AwsClient("sqs", region)
    base = {
        "MessageRetentionPeriod": str(RETENTION_S),
        "SqsManagedSseEnabled": "true",
        "VisibilityTimeout": str(visibility(visibility_s)),
    }
    made: list[str] = []
    try:
        for queue in QUEUES:
            dead, dead_new = await _ensure(client, prefix + dead_letter_queue(queue), base)
            answer = await client.call(
                "get_queue_attributes", QueueUrl=dead, AttributeNames=["QueueArn"]
            )
            target = {
                "deadLetterTargetArn": answer["Attributes"]["QueueArn"],
                "maxReceiveCount": max_receives,
            }
            _, new = await _ensure(
                client, prefix + queue, {**base, "RedrivePolicy": json.dumps(target)}
            )
            made += [dead_letter_queue(queue)] * dead_new + [queue] * new
    except FAILURES as error:
        raise unavailable(error) from error
    finally:
        await client.close()
    return made


async def _ensure(client: AwsClient, name: str, attributes: dict[str, str]) -> tuple[str, bool]:
    """Return a queue's URL and whether it was just created."""
    try:
        answer = await client.call("get_queue_url", QueueName=name)
    except FAILURES as error:
        if error_code(error) not in MISSING:
            raise
        answer = await client.call("create_queue", QueueName=name, Attributes=attributes)
        return answer["QueueUrl"], True
    return answer["QueueUrl"], False
