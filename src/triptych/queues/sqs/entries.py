"""Messages in the form that SQS carries, and deliveries in the form it returns. Pure functions.

Limits: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from triptych.messages import (
    HEADER_ITEM,
    HEADER_ORIGIN_ID,
    HEADER_REASON,
    HEADER_RUN,
    HEADER_TASK,
    HEADER_TRACE,
    HEADER_VERSION,
    Delivery,
    Message,
)
from triptych.queues.reading import readable_body
from triptych.runtime.json_values import UnreadableJson, read_json

BATCH_ENTRIES = 10
BATCH_BYTES = 256 * 1024
"""Limit of a request, bodies and attributes together. SQS accepts 1 MiB since August 2025; queues
of Lambda functions, and emulators, may still have the earlier limit."""
MESSAGE_BYTES = 1024 * 1024
"""Limit of one message in SQS. Triptych's are far smaller; external ones may be as large."""
ATTRIBUTES_MAX = 10
ATTRIBUTE_CHARS = 1024
"""Limit of one value. A reason is a sentence; longer values are truncated."""
DELAY_MAX_S = 900
VISIBILITY_MAX_S = 43_200
GROUP_MAX_CHARS = 128

OURS = (
    *(HEADER_VERSION, HEADER_RUN, HEADER_ITEM, HEADER_TASK),
    *(HEADER_REASON, HEADER_ORIGIN_ID, HEADER_TRACE),
)
"""Kept first if there are more attributes than SQS carries."""

_NAME = re.compile(
    r"(?!(?:aws|amazon)\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)", re.IGNORECASE
)
_GROUP = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
_REFUSED = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Entry = dict[str, Any]


def group_id(brand: str) -> str:
    """Return the tenant of a brand's messages: its name, or its hash if SQS refuses the name."""
    if _GROUP.fullmatch(brand):
        return brand
    return f"sha256-{hashlib.sha256(brand.encode()).hexdigest()}"


def encode_body(body: object) -> str:
    """Return a body as text that SQS accepts. A body that could not be read stays as it was."""
    if isinstance(body, UnreadableJson) and body:
        return _REFUSED.sub("\ufffd", body)
    text = orjson.dumps(body).decode()
    # In JSON they occur in strings only, where they can be written as escapes.
    return _REFUSED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def encode_headers(headers: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return headers as message attributes: at most ten, Triptych's first, without empty ones."""
    ordered = sorted(headers, key=lambda name: OURS.index(name) if name in OURS else len(OURS))
    kept = [name for name in ordered if headers[name] and _NAME.fullmatch(name)]
    return {
        name: {
            "DataType": "String",
            "StringValue": _REFUSED.sub("\ufffd", headers[name][:ATTRIBUTE_CHARS]),
        }
        for name in kept[:ATTRIBUTES_MAX]
    }


def encode(message: Message, delay_s: float) -> Entry:
    """Return a message as an entry of SendMessageBatch, without its ``Id``."""
    entry: Entry = {"MessageBody": encode_body(message.body)}
    if attributes := encode_headers(message.headers):
        entry["MessageAttributes"] = attributes
    if message.brand:
        entry["MessageGroupId"] = group_id(message.brand)
    if delay_s > 0:
        entry["DelaySeconds"] = min(DELAY_MAX_S, math.ceil(delay_s))
    return entry


def entry_bytes(entry: Entry) -> int:
    """Return what SQS counts: the body, and names, types and values of the attributes."""
    size = len(entry["MessageBody"].encode())
    for name, value in entry.get("MessageAttributes", {}).items():
        size += len(name) + len(value["DataType"]) + len(value["StringValue"].encode())
    return size


def fitting(message: Message) -> Message:
    """Return a message that SQS accepts; if too large, with the beginning of its body as text.

    For dead letters: headers added to an external message must not make it too large to send.
    """
    entry = encode(message, 0)
    over = entry_bytes(entry) - MESSAGE_BYTES
    if over <= 0:
        return message
    text = entry["MessageBody"].encode()
    cut: Any = UnreadableJson(text[: len(text) - over].decode(errors="ignore"), "cut to fit SQS")
    return replace(message, body=cut)


def batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Group entries into requests within count and size; a larger one is sent alone."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        more = entry_bytes(entry)
        if batch and (len(batch) == BATCH_ENTRIES or size + more > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += more
    if batch:
        yield batch


def decode(queue: str, raw: Mapping[str, Any]) -> Delivery:
    """Return a message of ReceiveMessage. Binary attributes are dropped."""
    attributes: Mapping[str, Mapping[str, str]] = raw.get("MessageAttributes") or {}
    body = read_json(raw["Body"])
    return Delivery(
        queue=queue,
        id=raw["MessageId"],
        receipt=raw["ReceiptHandle"],
        body=body,
        headers={
            name: value["StringValue"]
            for name, value in attributes.items()
            if "StringValue" in value
        },
        receives=int(raw["Attributes"]["ApproximateReceiveCount"]),
        problem=readable_body(body),
    )


def visibility(seconds: float) -> int:
    """Return a visibility timeout that SQS accepts."""
    return min(VISIBILITY_MAX_S, max(0, math.ceil(seconds)))
