"""What is told of a message while it is worked on."""

from __future__ import annotations

from contextlib import AbstractContextManager

import structlog

from triptych.messages import HEADER_ITEM, HEADER_RUN, HEADER_TRACE, Delivery, well_formed_trace
from triptych.telemetry.tracing import Attribute, span


def bind_delivery(delivery: Delivery) -> None:
    """Put a message's run and item into every log line of the task that works on it."""
    headers = delivery.headers
    known = {"run": headers.get(HEADER_RUN), "item": headers.get(HEADER_ITEM)}
    structlog.contextvars.bind_contextvars(
        **{name: value for name, value in known.items() if value is not None}
    )


def delivery_span(delivery: Delivery) -> AbstractContextManager[None]:
    """Record the work on a message, under the trace that its headers name.

    Attributes are those of OpenTelemetry's conventions for messaging, and ours.
    """
    attributes: dict[str, Attribute] = {
        "messaging.system": "triptych",
        "messaging.operation.type": "process",
        "messaging.destination.name": delivery.queue,
        "messaging.message.id": delivery.id,
        "messaging.message.delivery_count": delivery.receives,
    }
    if (run := delivery.headers.get(HEADER_RUN)) is not None:
        attributes["triptych.run"] = run
    if (item := delivery.headers.get(HEADER_ITEM)) is not None:
        attributes["triptych.item"] = item
    parent = well_formed_trace(delivery.headers.get(HEADER_TRACE))
    return span(f"process {delivery.queue}", parent, attributes)
