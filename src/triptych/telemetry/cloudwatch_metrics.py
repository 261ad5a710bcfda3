"""Some of the metrics as log lines that CloudWatch reads as metrics, where nothing scrapes them.

The lines are in CloudWatch's embedded metric format:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

Each metric costs by its name and dimensions, so there are few and none has a dimension.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from prometheus_client import CollectorRegistry

from triptych.runtime.periodic import run_periodically
from triptych.telemetry.metrics import REGISTRY

EVERY_S = 60.0
"""Mean seconds between two lines of a process: CloudWatch keeps a minute as one value. What was
counted since the last line is lost if the process is killed."""
VALUES_MAX = 100
"""Values of one metric in a line, by the specification."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A metric of CloudWatch, and the samples of Prometheus that it is the sum of."""

    name: str
    sample: str
    labels: Mapping[str, str] = field(default_factory=dict)
    """Those that a sample must have; it may have others."""
    unit: str = "Count"


COUNTED = (
    Exported("ItemsDone", "triptych_items_total", {"outcome": "done"}),
    Exported("ItemsFailed", "triptych_items_total", {"outcome": "failed"}),
    Exported("RunsCommitted", "triptych_runs_total", {"state": "committed"}),
    Exported("RunsFailed", "triptych_runs_total", {"state": "failed"}),
    Exported("AiStepsDone", "triptych_ai_step_seconds_count", {"outcome": "done"}),
    Exported("AiStepsFailed", "triptych_ai_step_seconds_count", {"outcome": "failed"}),
    Exported("ObjectsDamaged", "triptych_objects_damaged_total"),
)
"""Counters: a line has what was added since the last one. Those of one sample come together, so
that a share can be computed of them."""
MEASURED = (Exported("CommitSeconds", "triptych_commit_seconds", unit="Seconds"),)
"""Histograms: each observation, rounded up to the bound of its bucket; the longest, beyond all
bounds, count as the last bound."""
SEEN = (
    Exported("RunsStalled", "triptych_runs_stalled"),
    Exported("RunsHeld", "triptych_runs_held"),
    Exported("BrandsUnindexed", "triptych_brands_unindexed"),
    Exported("IndexLagSeconds", "triptych_index_lag_seconds", unit="Seconds"),
    Exported("ReadsLagSeconds", "triptych_reads_lag_seconds", unit="Seconds"),
    Exported("LiveClients", "triptych_live_clients"),
)
"""Gauges: their values, of the processes that have them."""
EXPORTED = (*COUNTED, *MEASURED, *SEEN)

Value = float | list[float]
Labels = frozenset[tuple[str, str]]
Samples = dict[tuple[str, Labels], float]


class MetricLines:
    """What a process reports to CloudWatch: the changes of its counters, and its gauges.

    Args:
        namespace: of the metrics in CloudWatch.
        write: takes a line, without its end.
        registry: whose metrics are read.
    """

    def __init__(
        self,
        namespace: str,
        write: Callable[[str], object],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._namespace = namespace
        self._write = write
        self._registry = registry
        self._before: Samples = {}

    def flush(self) -> None:
        """Write what has changed since the last call; nothing if nothing has."""
        now = _samples(self._registry)
        added = {key: value - self._before.get(key, 0.0) for key, value in now.items()}
        self._before = now
        lines = [_counted(added) | _seen(now)]
        for each in MEASURED:
            for number, values in enumerate(_chunks(_observed(added, each))):
                if number == len(lines):
                    lines.append({})
                lines[number][each.name] = values
        for line in filter(None, lines):
            self._write(self._line(line))

    def _line(self, values: Mapping[str, Value]) -> str:
        units = {each.name: each.unit for each in EXPORTED}
        directive = {
            "Namespace": self._namespace,
            "Dimensions": [[]],
            "Metrics": [{"Name": name, "Unit": units[name]} for name in values],
        }
        about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
        return orjson.dumps({"_aws": about, **values}).decode()


def exported_names(family: str) -> list[str]:
    """Return the names in CloudWatch of what is exported of a metric of Prometheus."""
    return [each.name for each in EXPORTED if each.sample in (family, f"{family}_count")]


def _samples(registry: CollectorRegistry) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def _counted(added: Samples) -> dict[str, Value]:
    """Return what was added to counters, all of a sample or none."""
    values: dict[str, Value] = {each.name: _total(added, each) for each in COUNTED}
    changed = {each.sample for each in COUNTED if values[each.name]}
    return {each.name: values[each.name] for each in COUNTED if each.sample in changed}


def _seen(now: Samples) -> dict[str, Value]:
    """Return the gauges that this process has."""
    there = {sample for sample, _ in now}
    return {each.name: _total(now, each) for each in SEEN if each.sample in there}


def _total(samples: Samples, wanted: Exported) -> float:
    return sum(
        value
        for (name, labels), value in samples.items()
        if name == wanted.sample and labels >= wanted.labels.items()
    )


def _observed(added: Samples, wanted: Exported) -> Iterator[float]:
    """Yield each new observation of a histogram, as the bound of its bucket."""
    buckets = sorted(
        (float(dict(labels)["le"]), value)
        for (name, labels), value in added.items()
        if name == f"{wanted.sample}_bucket"
    )
    below, last = 0.0, 0.0
    for bound, count in buckets:
        last = last if bound == float("inf") else bound
        yield from [last] * round(count - below)
        below = count


def _chunks(values: Iterator[float]) -> Iterator[list[float]]:
    found = list(values)
    for start in range(0, len(found), VALUES_MAX):
        yield found[start : start + VALUES_MAX]


def write_line(line: str) -> None:
    """Write a line where the log goes."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@asynccontextmanager
async def metric_lines(
    namespace: str,
    *,
    every_s: float = EVERY_S,
    write: Callable[[str], object] = write_line,
) -> AsyncIterator[None]:
    """Write this process's metrics as lines during the block, and what is left at its end.

    An empty ``namespace``: none are written.
    """
    if not namespace:
        yield
        return
    lines = MetricLines(namespace, write)
    ended = asyncio.Event()

    async def flush() -> None:
        lines.flush()

    writing = asyncio.create_task(
        run_periodically("metric_lines", flush, ended, every_s=every_s, pause_first=True)
    )
    try:
        yield
    finally:
        ended.set()
        await writing
        lines.flush()
