"""Every metric of Triptych, in one place, with Prometheus names.

Names follow https://prometheus.io/docs/practices/naming/: seconds and bytes, ``_total`` for
counters. Labels have few values: never a brand, a URL or an id.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import ClassVar
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector
from typing_extensions import override

from triptych.errors import SettingsError

REGISTRY = CollectorRegistry()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SLOW = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 1800, 3600)
SIZES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)


class LateGauge(Collector):
    """A gauge without labels that only those processes expose that have set it.

    What is true of the whole installation is read from the database by some processes; the others
    would say 0. A value is exposed for `KEPT_S`: who reads it once and not again has no news of it.
    """

    KEPT_S: ClassVar[float] = 120.0

    def __init__(self, name: str, documentation: str) -> None:
        self._name, self._documentation = name, documentation
        self._value: float | None = None
        self._until = 0.0
        REGISTRY.register(self)

    def set(self, value: float) -> None:
        """Set the value; from now on it is exposed."""
        self._value = value
        self._until = time.monotonic() + self.KEPT_S

    def clear(self) -> None:
        """Expose it no longer: its value is not known."""
        self._value = None

    def describe(self) -> Iterator[Metric]:
        """Name the metric, so that no other one takes its name."""
        yield GaugeMetricFamily(self._name, self._documentation)

    @override
    def collect(self) -> Iterator[Metric]:
        if self._value is not None and time.monotonic() < self._until:
            yield GaugeMetricFamily(self._name, self._documentation, self._value)


MESSAGES = Counter(
    "triptych_messages_total",
    "Messages handled, by outcome.",
    ["queue", "outcome"],
    registry=REGISTRY,
)
MESSAGE_SECONDS = Histogram(
    "triptych_message_seconds",
    "From receiving a message to its outcome.",
    ["queue"],
    buckets=QUICK,
    registry=REGISTRY,
)
MESSAGES_HELD = Gauge(
    "triptych_messages_held", "Messages that this process holds.", ["queue"], registry=REGISTRY
)
REFUSED_REQUESTS = Counter(
    "triptych_refused_requests_total",
    "Requests and WebSockets refused, by reason: unauthenticated, forbidden, host-refused, "
    "origin-refused, too-many-requests.",
    ["reason"],
    registry=REGISTRY,
)
STORE_AWAY = Gauge(
    "triptych_store_away",
    "1 while this process waits for the object store, which takes nothing.",
    registry=REGISTRY,
)
OBJECTS_DAMAGED = Counter(
    "triptych_objects_damaged_total",
    "Damaged or missing objects, by how they were met: read, or fetched_again by a run.",
    ["met"],
    registry=REGISTRY,
)
OBJECTS_REPLACED = Counter(
    "triptych_objects_replaced_total",
    "Damaged objects that were replaced by the bytes that they should have.",
    registry=REGISTRY,
)
ITEMS = Counter(
    "triptych_items_total",
    "Items done or failed, by outcome and the reason of a failure.",
    ["outcome", "reason"],
    registry=REGISTRY,
)
FLUSH_SECONDS = Histogram(
    "triptych_flush_seconds", "One flush of the buffer.", buckets=QUICK, registry=REGISTRY
)
COMMIT_SECONDS = Histogram(
    "triptych_commit_seconds", "One commit of a run.", buckets=SLOW, registry=REGISTRY
)
COMMIT_ASSETS = Histogram(
    "triptych_commit_assets", "Assets of one commit.", buckets=SIZES, registry=REGISTRY
)
RUNS = Counter("triptych_runs_total", "Runs that this process ended.", ["state"], registry=REGISTRY)
GATHER_SECONDS = Histogram(
    "triptych_gather_seconds", "One gathering of a brand.", buckets=SLOW, registry=REGISTRY
)
GATHERED = Counter("triptych_gathered_total", "Rows read from sources.", registry=REGISTRY)
FETCH_SECONDS = Histogram(
    "triptych_fetch_seconds", "One URL, redirects included.", buckets=QUICK, registry=REGISTRY
)
FETCHED_BYTES = Counter(
    "triptych_fetched_bytes_total", "Bytes of bodies, decompressed.", registry=REGISTRY
)
DECODE_SECONDS = Histogram(
    "triptych_decode_seconds", "One picture decoded.", buckets=QUICK, registry=REGISTRY
)
DECODERS_LOST = Counter(
    "triptych_decoders_lost_total",
    "Decoders that a picture has cost, by cause: cpu, deadline, memory, crash. The log names the "
    "picture.",
    ["cause"],
    registry=REGISTRY,
)
EMBED_SECONDS = Histogram(
    "triptych_embed_seconds", "One batch embedded.", buckets=QUICK, registry=REGISTRY
)
EMBEDDED = Counter("triptych_embedded_total", "Pictures embedded.", registry=REGISTRY)
STEP_SECONDS = Histogram(
    "triptych_ai_step_seconds",
    "One AI step over one snapshot.",
    ["step", "outcome"],
    buckets=SLOW,
    registry=REGISTRY,
)
WEBHOOK_ATTEMPTS = Counter(
    "triptych_webhook_attempts_total",
    "Webhook deliveries attempted.",
    ["outcome"],
    registry=REGISTRY,
)
HTTP_SECONDS = Histogram(
    "triptych_http_request_seconds",
    "From a request's headers to the end of the response.",
    ["method", "route", "status"],
    buckets=QUICK,
    registry=REGISTRY,
)
RUNS_STALLED = LateGauge(
    "triptych_runs_stalled",
    "Active runs without progress for TRIPTYCH_STALLED_S that wait for no known time.",
)
RUNS_HELD = LateGauge(
    "triptych_runs_held", "Runs that are held: somebody has to publish or to discard them."
)
BRANDS_UNINDEXED = LateGauge(
    "triptych_brands_unindexed", "Brands whose snapshot is not fully in the index of all brands."
)
INDEX_LAG_SECONDS = LateGauge(
    "triptych_index_lag_seconds",
    "Since the oldest snapshot was committed that is not fully indexed; 0 without any.",
)
READS = Counter(
    "triptych_reads_total",
    "Immediate reads of snapshots, by the database that was asked and why: projected; of Postgres: "
    "off (TRIPTYCH_READS_URL is not set), fresh, not_projected, unavailable.",
    ["source", "reason"],
    registry=REGISTRY,
)
READS_BEHIND_BRANDS = LateGauge(
    "triptych_reads_behind_brands",
    "Brands of which MongoDB does not show the newest snapshot, or not what the AI phase found.",
)
READS_LAG_SECONDS = LateGauge(
    "triptych_reads_lag_seconds",
    "Since the oldest thing was published that MongoDB does not show; 0 without any.",
)
QUEUE_WAITING = Gauge(
    "triptych_queue_waiting",
    "Messages in a queue that may be received now.",
    ["queue"],
    registry=REGISTRY,
)
QUEUE_DELAYED = Gauge(
    "triptych_queue_delayed",
    "Messages in a queue whose time has not come: put off, or to be tried again.",
    ["queue"],
    registry=REGISTRY,
)
QUEUE_IN_FLIGHT = Gauge(
    "triptych_queue_in_flight",
    "Messages of a queue that somebody works on: received and not answered yet.",
    ["queue"],
    registry=REGISTRY,
)
QUEUE_OLDEST_SECONDS = Gauge(
    "triptych_queue_oldest_seconds",
    "Age of the oldest message in a queue; 0 if there is none.",
    ["queue"],
    registry=REGISTRY,
)


@dataclass(frozen=True, slots=True)
class Documented:
    """What the reference says of a metric."""

    name: str
    """As it is scraped: of a counter with ``_total``."""
    kind: str
    labels: Sequence[str]
    meaning: str


def documented() -> list[Documented]:
    """Return the metrics of this module, in its order."""
    kinds = (MetricWrapperBase, LateGauge)
    found = []
    for metric in [value for value in globals().values() if isinstance(value, kinds)]:
        labels = getattr(metric, "_labelnames", ())
        found += [document(family, labels) for family in metric.describe()]
    return found


def document(family: Metric, labels: Sequence[str] = ()) -> Documented:
    """Describe a family of samples."""
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Documented(name, family.type, labels, family.documentation)


def exposition() -> bytes:
    """Return all metrics of this process in Prometheus' text format."""
    return generate_latest(REGISTRY)


PORTS_TRIED = 32
"""Workers on one machine share the setting: each takes the next free port."""


@contextmanager
def served_metrics(host: str, port: int) -> Iterator[int | None]:
    """Serve this process's metrics over HTTP during the block, in a thread; yield the port, if any.

    Raises:
        SettingsError: the address cannot be used.
    """
    if not port:
        yield None
        return
    server, thread, taken = _started(host, port)
    try:
        yield taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _started(host: str, port: int) -> tuple[WSGIServer, Thread, int]:
    for candidate in range(port, min(port + PORTS_TRIED, 65_536)):
        try:
            return *start_http_server(candidate, host, REGISTRY), candidate
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise SettingsError(
                    f"{host}:{candidate} cannot be bound ({error.strerror}).",
                    field="TRIPTYCH_METRICS_HOST",
                ) from error
    raise SettingsError(
        f"Ports {port} to {candidate} are all taken.", field="TRIPTYCH_METRICS_PORT"
    )
