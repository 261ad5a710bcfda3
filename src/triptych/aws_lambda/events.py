"""Events of SQS as Lambda hands them over, and the answer that it wants. Pure.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from triptych.messages import Delivery

RESERVE_S = 5.0
"""Kept back of an invocation's time: for giving late messages back, and for the answer."""


class Context(Protocol):
    """What Lambda tells of an invocation."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return how long until Lambda kills this invocation."""
        ...


def deliveries(event: Mapping[str, Any], prefix: str) -> list[Delivery]:
    """Return an event's messages; ``prefix`` is that of the queues' names.

    Raises:
        ValueError: the event is not one of SQS', or of a queue of another prefix.
    """
    records = event.get("Records")
    if not isinstance(records, list) or not records:
        raise ValueError(
            "not an event of SQS: map the queue to this function, or see docs/guides/aws.md"
        )
    return [_delivery(record, prefix) for record in records]


def _delivery(record: Mapping[str, Any], prefix: str) -> Delivery:
    name = str(record["eventSourceARN"]).rpartition(":")[2]
    if not name.startswith(prefix):
        raise ValueError(
            f"the queue {name} is not one of TRIPTYCH_QUEUE_URL's: those begin with {prefix}"
        )
    attributes: Mapping[str, Mapping[str, Any]] = record.get("messageAttributes") or {}
    return Delivery(
        queue=name.removeprefix(prefix),
        id=record["messageId"],
        receipt=record["receiptHandle"],
        body=_parsed(record["body"]),
        headers={
            header: value["stringValue"]
            for header, value in attributes.items()
            if isinstance(value.get("stringValue"), str)
        },
        receives=int(record["attributes"]["ApproximateReceiveCount"]),
    )


def _parsed(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def failures(ids: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """Return the answer that has Lambda delete all messages but these (ReportBatchItemFailures)."""
    return {"batchItemFailures": [{"itemIdentifier": each} for each in ids]}


def seconds_left(context: Context) -> float:
    """Return the seconds that work of this invocation may take."""
    return context.get_remaining_time_in_millis() / 1000 - RESERVE_S
