"""Prometheus metrics of live status, collected from the hub's counters at each scrape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from triptych.live.hub import Counters, Hub
from triptych.telemetry.metrics import REGISTRY, Documented, document, documented

COUNTED = {
    "refused": "Connections refused.",
    "frames": "Frames sent.",
    "errors": "Client frames answered with an error.",
    "slow": "Clients disconnected because they did not read.",
    "reads": "Reads of the database.",
}
"""The counters and their help texts."""


class _LiveCollector(Collector):
    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "triptych_live_clients", "Clients connected now.", self._counters.clients
        )
        for name, text in COUNTED.items():
            yield CounterMetricFamily(f"triptych_live_{name}", text, getattr(self._counters, name))


def documented_metrics() -> list[Documented]:
    """Return every metric of Triptych, for the reference: those of processes and those of a hub."""
    of_hub = [document(family) for family in _LiveCollector(Counters()).collect()]
    return [*documented(), *of_hub]


@contextmanager
def counted(hub: Hub) -> Iterator[None]:
    """Include a hub in this process' metrics while the block runs."""
    collector = _LiveCollector(hub.counters)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)
