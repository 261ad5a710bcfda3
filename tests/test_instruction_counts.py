"""What often-walked paths cost, in instructions of Python's: counted, so the same on any machine.

A bound is two fifths above what Python 3.11 took when it was set. Who makes a path dearer finds out
here; whoever has a reason raises the bound.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any
from uuid import UUID

import pytest

from triptych.api.http.responses import Json
from triptych.gather.urls import item_key, normalise
from triptych.messages import Headers, Message, UrlBody, parse_body
from triptych.model import Asset
from triptych.queues.sqs.entries import batches, decode, encode
from triptych.runtime.retry import plan_retry
from triptych.snapshots.asset_shown import AssetShown
from triptych.wire import Page

RUN = UUID(int=7)
URL = "https://Shop.example/a/../media/picture%20one.jpg?b=2&a=1#top"


def instructions(work: Callable[[], object]) -> int:
    """Return how many instructions of Python's ``work`` takes, callees included; C counts none."""
    work()  # What is done once in a process is not the path's.
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def message() -> Message:
    body = {"brand": "nike", "url": URL, "metadata": {"alt": "a shoe", "n": 1}}
    return Message(body, Headers(RUN, b"\x01" * 16, None).encode(), "nike")


def entry() -> object:
    return list(batches([encode(message(), 0)]))


def received() -> object:
    attributes = {
        name: {"DataType": "String", "StringValue": value}
        for name, value in message().headers.items()
    }
    raw = {
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": '{"brand":"nike","url":"https://x.example/1.jpg","metadata":{}}',
        "MessageAttributes": attributes,
        "Attributes": {"ApproximateReceiveCount": "1"},
    }
    delivery = decode("url-process-queue", raw)
    return parse_body(UrlBody, delivery.body), Headers.decode(delivery.headers)


def asset() -> Asset:
    return Asset(
        run_id=RUN,
        key=b"\x01" * 16,
        brand="nike",
        url=URL,
        metadata={"alt": "a shoe"},
        sha256=b"\x02" * 32,
        object_key="sha256/02",
        media_type="image/jpeg",
        size_bytes=50_000,
        width=800,
        height=600,
        phash=7,
        model="m",
        embedding=None,
    )


def page() -> object:
    return Json(Page([AssetShown.of(each) for each in [asset()] * 50], None))


PATHS: dict[str, tuple[Callable[[], object], int]] = {
    "a URL is normalised": (lambda: normalise(URL), 270),
    "an item's key is made": (lambda: item_key(URL), 90),
    "a message becomes an entry of SQS": (entry, 800),
    "an entry of SQS becomes a message": (received, 950),
    "a page of 50 assets is shown": (page, 10_500),
    "a failed attempt is judged": (lambda: plan_retry(TimeoutError(), 1), 130),
}


@pytest.mark.parametrize("name", PATHS)
def test_no_dearer_than_when_it_was_counted(name: str) -> None:
    work, most = PATHS[name]
    assert instructions(work) <= most
