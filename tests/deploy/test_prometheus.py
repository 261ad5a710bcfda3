"""Rules, dashboard and service levels in a real Prometheus that scrapes real processes."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aws_local.child_server import free_port
from infra.alarms import ALARMS, OLDEST_S, Alarm
from scripts.monitoring import DEPLOY, expression

from tests.support.cli_process import Cli, up_process
from tests.support.monitoring import FOREIGN, promql_of_levels, series
from tests.support.picture_server import Site, write_manifest
from tests.support.prometheus import prometheus, promtool
from tests.support.waiting import until

pytestmark = [pytest.mark.aws, pytest.mark.integration]

RULES = DEPLOY / "prometheus" / "alerts.yml"
LEVELS = (Path(__file__).resolve().parents[2] / "docs" / "slo.md").read_text("utf-8")
PATIENCE_S = 120.0
AFTER_MIN = 120
"""Minutes after which every condition has lasted for long enough."""

Series = Mapping[str, str]
REQUESTS = "triptych_http_request_seconds_count"
ITEMS = "triptych_items_total"
COMMITS = "triptych_commit_seconds"


def oldest(seconds_more: int) -> dict[str, Series]:
    """Return the ages of messages, by the alarm that watches them."""
    return {
        f"{queue}-oldest": {
            f'triptych_queue_oldest_seconds{{queue="{queue}"}}': steady(seconds + seconds_more)
        }
        for queue, seconds in OLDEST_S.items()
    }


def dead(count: int) -> dict[str, Series]:
    """Return numbers of dead letters, by the alarm that watches them."""
    return {
        f"{queue}-dead": {f'triptych_queue_waiting{{queue="{queue}-dlq"}}': steady(count)}
        for queue in OLDEST_S
    }


def steady(value: float) -> str:
    """Return a series that keeps a value."""
    return growing(0, value)


def growing(each_minute: float, start: float = 0) -> str:
    """Return a series that grows."""
    return f"{start}+{each_minute}x{AFTER_MIN}"


FIRING: Mapping[str, Series] = {
    **oldest(1),
    **dead(1),
    "5xx-services": {f'{REQUESTS}{{status="503"}}': growing(3)},
    "api-unhealthy": {'up{job="triptych-api"}': steady(0)},
    "live-unhealthy": {'up{job="triptych-live"}': steady(0)},
    "item-failures": {
        f'{ITEMS}{{outcome="failed", reason="timeout"}}': growing(6),
        f'{ITEMS}{{outcome="done"}}': growing(4),
    },
    "stalled-runs": {"triptych_runs_stalled": steady(1)},
    "held-runs": {"triptych_runs_held": steady(1)},
    "slow-commits": {
        f"{COMMITS}_count": growing(1),
        f'{COMMITS}_bucket{{le="300.0"}}': steady(0),
    },
    "index-lag": {"triptych_index_lag_seconds": steady(3601)},
    "reads-lag": {"triptych_reads_lag_seconds": steady(601)},
}
"""Series under which each alert fires."""
QUIET: Mapping[str, Series] = {
    **oldest(0),
    **dead(0),
    "5xx-services": {
        f'{REQUESTS}{{status="503"}}': growing(1),
        f'{REQUESTS}{{status="200"}}': growing(90),
    },
    "api-unhealthy": {'up{job="triptych-api"}': steady(1)},
    "live-unhealthy": {'up{job="triptych-live"}': steady(1)},
    "item-failures": {
        f'{ITEMS}{{outcome="failed", reason="timeout"}}': growing(4),
        f'{ITEMS}{{outcome="done"}}': growing(6),
    },
    "stalled-runs": {"triptych_runs_stalled": steady(0)},
    "held-runs": {"triptych_runs_held": f"0+0x{AFTER_MIN - 30} 1+0x30"},
    "slow-commits": {
        f"{COMMITS}_count": growing(1),
        f'{COMMITS}_bucket{{le="300.0"}}': growing(1),
    },
    "index-lag": {"triptych_index_lag_seconds": steady(3600)},
    "reads-lag": {"triptych_reads_lag_seconds": steady(600)},
}
"""Series, just short of that, under which it does not."""
EXTRA: tuple[tuple[str, Series, bool], ...] = (
    ("stalled-runs", {"triptych_runs_held": steady(0)}, True),
    ("item-failures", {f'{ITEMS}{{outcome="failed"}}': growing(1)}, False),
)
"""Silence rings; a few items say nothing."""


def case(alarm: Alarm, given: Series, *, fires: bool) -> dict[str, Any]:
    """Return a test of promtool's for one alert."""
    looked_at = {"eval_time": f"{AFTER_MIN}m", "alertname": alarm.title}
    expected = {"exp_labels": {"alarm": alarm.name}} if fires else None
    return {
        "name": f"{alarm.name} fires" if fires else f"{alarm.name} is quiet",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in given.items()],
        "alert_rule_test": [{**looked_at, "exp_alerts": [expected] if expected else []}],
    }


def test_rules_and_configuration_are_valid() -> None:
    for kind in ("rules", "config"):
        file = RULES if kind == "rules" else DEPLOY / "prometheus" / "prometheus.yml"
        checked = promtool("check", kind, file)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    names = {alarm.name for alarm in ALARMS.values() if expression(alarm)}
    assert FIRING.keys() == QUIET.keys() == names
    # An expected alert names its labels alone: what people read is not compared.
    rules = tmp_path / "rules.yml"
    rules.write_text(without_annotations(RULES.read_text()))
    cases = [case(ALARMS[name], given, fires=True) for name, given in FIRING.items()]
    cases += [case(ALARMS[name], given, fires=False) for name, given in QUIET.items()]
    cases += [case(ALARMS[name], given, fires=fires) for name, given, fires in EXTRA]
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps({"rule_files": [str(rules)], "tests": cases}))
    checked = promtool("test", "rules", file)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def without_annotations(text: str) -> str:
    """Leave the annotations of rules out."""
    return re.sub(r"(?m)^ {8}annotations:\n(?: {10}.*\n)+", "", text)


def queries() -> list[str]:
    """Return every query of the dashboard and of the service levels."""
    panels = json.loads((DEPLOY / "grafana" / "triptych.json").read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    made = [query.replace("$__rate_interval", "5m").replace("$__range", "6h") for query in shown]
    return [*made, *promql_of_levels(LEVELS)]


async def test_a_real_prometheus_finds_every_metric(
    site: Site, cli: Cli, tmp_path: Path, mongodb_url: str
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 3)
    port = free_port()
    cli.env |= {
        "TRIPTYCH_METRICS_PORT": str(port),
        "TRIPTYCH_WORKERS": "1",
        "TRIPTYCH_EMF_NAMESPACE": "Triptych-test",
        "TRIPTYCH_READS_URL": mongodb_url,
        "TRIPTYCH_SOURCE_FOLDERS": str(tmp_path),
    }
    async with up_process(cli) as (process, url):
        submitted = await cli("submit", "nike", "--source", source, "--watch")
        assert submitted.code == 0, submitted.err
        jobs = {
            "triptych-api": [url.removeprefix("http://")],
            "triptych-live": [url.removeprefix("http://")],
            "triptych-worker": [f"127.0.0.1:{port}"],
        }
        async with prometheus(tmp_path, RULES, jobs) as running:
            targets = await until(running.targets, lambda found: len(found) == len(jobs))
            assert {each["health"] for each in targets} == {"up"}, targets
            metadata = await running.get("/api/v1/metadata")
            for query in [*queries(), *map(expression, ALARMS.values())]:
                for name in series(query) - FOREIGN:
                    plain = name.removesuffix("_bucket").removesuffix("_count")
                    assert {name, plain} & metadata.keys(), name
            for query in queries():
                answer = await running.get("/api/v1/query", query=query)
                assert answer["resultType"] in ("vector", "scalar"), query
            (done,) = (
                await running.get("/api/v1/query", query='triptych_items_total{outcome="done"}')
            )["result"]
            assert float(done["value"][1]) == 3

            async def evaluated() -> set[str]:
                groups = (await running.get("/api/v1/rules"))["groups"]
                return {rule["health"] for group in groups for rule in group["rules"]}

            assert await until(evaluated, lambda found: "unknown" not in found) == {"ok"}
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            log = (await process.stderr.read()).decode().splitlines()
            assert await process.wait() == 0
    written = [json.loads(line) for line in log if line.startswith('{"_aws"')]
    assert sum(line.get("ItemsDone", 0) for line in written) == 3
    assert sum(line.get("RunsCommitted", 0) for line in written) == 1
    assert sum(len(line.get("CommitSeconds", ())) for line in written) == 1
