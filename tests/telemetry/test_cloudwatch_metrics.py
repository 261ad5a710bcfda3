"""A process's metrics as lines of its log: few, without dimensions, and only what has changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tests.support.waiting import until
from triptych.telemetry.cloudwatch_metrics import (
    COUNTED,
    EXPORTED,
    MEASURED,
    SEEN,
    VALUES_MAX,
    MetricLines,
    metric_lines,
)
from triptych.telemetry.metrics import ITEMS, REGISTRY, SLOW

EXPORTED_MAX = 15
"""Each costs 0.30 USD a month and deployment (CloudWatch, the first 10,000)."""


class Process:
    """Metrics of a process, and the lines that it has written."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.items = Counter("triptych_items_total", "x", ["outcome", "reason"], registry=registry)
        self.commits = Histogram("triptych_commit_seconds", "x", buckets=SLOW, registry=registry)
        self.held = Gauge("triptych_runs_held", "x", registry=registry)
        self.written: list[str] = []
        self.lines = MetricLines("Triptych-test", self.written.append, registry)

    def flush(self) -> list[dict[str, Any]]:
        """Return what is written now, without what describes it to CloudWatch."""
        self.written.clear()
        self.lines.flush()
        return [
            {name: value for name, value in json.loads(line).items() if name != "_aws"}
            for line in self.written
        ]


def test_counters_report_what_was_added() -> None:
    process = Process()
    assert process.flush() == [{"RunsHeld": 0}]
    process.items.labels("failed", "not_found").inc(2)
    process.items.labels("failed", "timeout").inc()
    assert process.flush() == [{"ItemsDone": 0, "ItemsFailed": 3, "RunsHeld": 0}]
    process.items.labels("done", "").inc(5)
    process.held.set(2)
    assert process.flush() == [{"ItemsDone": 5, "ItemsFailed": 0, "RunsHeld": 2}]
    assert process.flush() == [{"RunsHeld": 2}]


def test_each_observation_is_rounded_up_to_its_bucket() -> None:
    process = Process()
    for seconds in (0.05, 2, 2, 5, 301, 9_999):
        process.commits.observe(seconds)
    (line,) = process.flush()
    assert line["CommitSeconds"] == [0.1, 5, 5, 5, 900, 3600]
    assert "CommitSeconds" not in process.flush()[0]


def test_a_line_has_no_more_values_than_cloudwatch_takes() -> None:
    process = Process()
    for _ in range(2 * VALUES_MAX + 1):
        process.commits.observe(1)
    lines = process.flush()
    assert [len(line["CommitSeconds"]) for line in lines] == [VALUES_MAX, VALUES_MAX, 1]
    assert [line.get("RunsHeld") for line in lines] == [0, None, None]


def test_a_line_is_in_the_embedded_metric_format() -> None:
    process = Process()
    process.commits.observe(1)
    process.lines.flush()
    (text,) = process.written
    line = json.loads(text)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Triptych-test"
    assert directive["Dimensions"] == [[]]
    assert directive["Metrics"] == [
        {"Name": "RunsHeld", "Unit": "Count"},
        {"Name": "CommitSeconds", "Unit": "Seconds"},
    ]
    assert {each["Name"] for each in directive["Metrics"]} == line.keys() - {"_aws"}
    assert isinstance(line["_aws"]["Timestamp"], int)


def test_exported_metrics_exist_and_are_few() -> None:
    assert len(EXPORTED) <= EXPORTED_MAX
    assert len({each.name for each in EXPORTED}) == len(EXPORTED)
    families = {family.name for family in REGISTRY.collect()}
    for each in (*COUNTED, *MEASURED):
        family = each.sample.removesuffix("_total").removesuffix("_count")
        assert family in families, each.name
    assert {each.sample for each in SEEN} >= {"triptych_index_lag_seconds", "triptych_live_clients"}


@pytest.mark.integration
async def test_a_process_writes_while_it_runs_and_when_it_ends() -> None:
    written: list[str] = []

    async def count() -> int:
        return len(written)

    async with metric_lines("Triptych-test", every_s=0.01, write=written.append):
        ITEMS.labels("done", "").inc()
        await until(count, lambda lines: lines > 0)
        ITEMS.labels("done", "").inc(3)
    values = [json.loads(line).get("ItemsDone", 0) for line in written]
    assert sum(values) >= 4
    assert values[-1] == 0 or len(values) > 1


async def test_without_a_namespace_nothing_is_written() -> None:
    written: list[str] = []
    async with metric_lines("", every_s=0.01, write=written.append):
        ITEMS.labels("done", "").inc()
    assert written == []
