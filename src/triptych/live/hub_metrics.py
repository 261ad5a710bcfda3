"""Live status in numbers, for Prometheus: read from the hub's counters when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from triptych.live.hub import Counters, Hub
from triptych.telemetry.metrics import REGISTRY

COUNTED = {
    "refused": "Connections that were refused.",
    "frames": "Frames that were sent.",
    "errors": "Frames of clients that were answered with an error.",
    "slow": "Clients that were dropped because they did not read.",
    "reads": "Readings of the database.",
}
"""Counters that only grow, and what each counts."""


class _LiveCollector(Collector):
    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "triptych_live_clients", "Clients connected now.", self._counters.clients
        )
        for name, told in COUNTED.items():
            yield CounterMetricFamily(f"triptych_live_{name}", told, getattr(self._counters, name))


@contextmanager
def counted(hub: Hub) -> Iterator[None]:
    """Let this process' metrics tell of a hub meanwhile."""
    collector = _LiveCollector(hub.counters)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)
