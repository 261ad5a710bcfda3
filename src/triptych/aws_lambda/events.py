"""Parsing the SQS events of Lambda invocations, and building the response. Without I/O.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from triptych.messages import Delivery
from triptych.queues.reading import readable_body
from triptych.runtime.json_values import read_json

RESERVE_S = 5.0
"""Seconds of an invocation reserved for returning late messages and for the response."""


class Context(Protocol):
    """The context object of a Lambda invocation."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends this invocation."""
        ...


def deliveries(event: Mapping[str, Any], prefix: str) -> list[Delivery]:
    """Return an event's messages; ``prefix`` is the prefix of the queues' names.

    Raises:
        ValueError: the event is not from SQS, or from a queue with another prefix.
    """
    records = event.get("Records")
    if not isinstance(records, list) or not records:
        raise ValueError(
            "not an event of SQS: add an event source mapping for the queue, see docs/guides/aws.md"
        )
    return [_delivery(record, prefix) for record in records]


def _delivery(record: Mapping[str, Any], prefix: str) -> Delivery:
    name = str(record["eventSourceARN"]).rpartition(":")[2]
    if not name.startswith(prefix):
        raise ValueError(
            f"queue {name} does not belong to TRIPTYCH_QUEUE_URL: its queues start with {prefix}"
        )
    attributes: Mapping[str, Mapping[str, Any]] = record.get("messageAttributes") or {}
    body = read_json(record["body"])
    return Delivery(
        queue=name.removeprefix(prefix),
        id=record["messageId"],
        receipt=record["receiptHandle"],
        body=body,
        headers={
            header: value["stringValue"]
            for header, value in attributes.items()
            if isinstance(value.get("stringValue"), str)
        },
        receives=int(record["attributes"]["ApproximateReceiveCount"]),
        problem=readable_body(body),
    )


def failures(ids: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """Return the response that keeps only these messages in SQS (ReportBatchItemFailures)."""
    return {"batchItemFailures": [{"itemIdentifier": each} for each in ids]}


def seconds_left(context: Context) -> float:
    """Return the seconds that are left for this invocation's work."""
    return context.get_remaining_time_in_millis() / 1000 - RESERVE_S
