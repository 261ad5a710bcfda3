"""Traces: one for each run, from the request that opens it through the queues to the AI phase.

The trace is carried by ``traceparent`` (W3C Trace Context): stored with the run, sent with each of
its messages. Without an endpoint for traces nothing is recorded and OpenTelemetry is not imported;
a ``traceparent`` from outside is still passed on.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from triptych.messages import HEADER_ITEM, HEADER_RUN, HEADER_TRACE, Delivery, well_formed_trace
from triptych.shown_url import shown_text

if TYPE_CHECKING:
    import requests
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

SERVICE = "triptych"
CLOSE_S = 5

Attribute = str | int | float | bool


class _Process:
    """What is this process' own."""

    tracer: Tracer | None = None


@contextmanager
def tracing(
    endpoint: str | None,
    *,
    role: str,
    share: float = 1.0,
    exporter: SpanExporter | None = None,
) -> Iterator[None]:
    """Record traces during the block, and send them to an OTLP endpoint over HTTP.

    ``share`` of the traces that start here are sampled; others follow their parent's decision.
    They are sent in the background; what cannot be sent is dropped and never fails the work.
    """
    if endpoint is None and exporter is None:
        yield
        return
    provider = _provider(endpoint, role, share, exporter)
    _Process.tracer = provider.get_tracer(SERVICE)
    try:
        yield
    finally:
        _Process.tracer = None
        provider.force_flush(CLOSE_S * 1000)
        provider.shutdown()


def _provider(
    endpoint: str | None, role: str, share: float, exporter: SpanExporter | None
) -> TracerProvider:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=endpoint, session=_session(endpoint))
    provider = TracerProvider(
        resource=Resource.create({"service.name": SERVICE, "service.namespace": role}),
        sampler=ParentBasedTraceIdRatio(share),
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _session(endpoint: str | None) -> requests.Session | None:
    """Return a session that signs, for CloudWatch; None for a collector."""
    from triptych.telemetry.signed_traces import region_of, signed_session

    region = region_of(endpoint or "")
    return signed_session(region) if region else None


@contextmanager
def span(
    name: str,
    parent: str | None = None,
    attributes: Mapping[str, Attribute] | None = None,
) -> Iterator[None]:
    """Record a span for the block, under the current span or under ``parent``.

    An error that passes through is recorded and passed on; URLs in it are as `shown_text` has them.
    """
    if _Process.tracer is None:
        yield
        return
    with _Process.tracer.start_as_current_span(
        name,
        _context(parent),
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield
        except Exception as error:
            _record(current, error)
            raise


def _record(current: Span, error: Exception) -> None:
    """Record an error as OpenTelemetry does, but for what its URLs may have."""
    from opentelemetry.trace import Status, StatusCode

    message = shown_text(str(error))
    told = {
        "exception.message": message,
        "exception.stacktrace": shown_text("".join(traceback.format_exception(error))),
    }
    current.record_exception(error, told)
    current.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {message}"))


def _context(traceparent: str | None) -> Any:
    if traceparent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({HEADER_TRACE: traceparent})


def current_traceparent() -> str | None:
    """Return the current span as a ``traceparent``; None if none is recorded."""
    if _Process.tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    with contextlib.suppress(ValueError):
        TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(HEADER_TRACE)


def bind_delivery(delivery: Delivery) -> None:
    """Put a message's run and item into every log line of the task that works on it."""
    headers = delivery.headers
    known = {"run": headers.get(HEADER_RUN), "item": headers.get(HEADER_ITEM)}
    structlog.contextvars.bind_contextvars(
        **{name: value for name, value in known.items() if value is not None}
    )


def delivery_span(delivery: Delivery) -> AbstractContextManager[None]:
    """Record the work on a message, under the trace that its headers name.

    Attributes follow OpenTelemetry's messaging conventions, plus Triptych's own.
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
