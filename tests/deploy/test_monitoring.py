"""Rules, dashboard and service levels name metrics that exist, and follow from one table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from infra.alarms import ALARMS, COMMIT_SLOW_S, OWN_METRICS
from scripts.monitoring import DEPLOY, FILES, expression

from tests.support.monitoring import FOREIGN, promql_of_levels, sample_names, series
from triptych.live.hub_metrics import documented_metrics
from triptych.telemetry.cloudwatch_metrics import EXPORTED
from triptych.telemetry.metrics import SLOW

ROOT = Path(__file__).resolve().parents[2]
LEVELS = (ROOT / "docs" / "slo.md").read_text("utf-8")
METRIC_USD_A_MONTH = 0.30
"""CloudWatch, each of the first 10,000."""
AWS_METRICS = {
    "AWS/ApplicationELB": {"RequestCount", "HTTPCode_Target_5XX_Count", "TargetResponseTime"},
    "AWS/SQS": {"ApproximateAgeOfOldestMessage"},
}


@pytest.mark.parametrize("name", FILES)
def test_written_files_are_up_to_date(name: str) -> None:
    assert (DEPLOY / name).read_text("utf-8") == FILES[name](), "run `make docs`"


def known() -> set[str]:
    """Return every name that a scrape can have."""
    return {sample for each in documented_metrics() for sample in sample_names(each)} | FOREIGN


def test_rules_name_metrics_that_exist_and_a_runbook() -> None:
    sections = {
        line.removeprefix("## ").lower().replace(" ", "-")
        for line in (ROOT / "docs" / "runbooks.md").read_text("utf-8").splitlines()
        if line.startswith("## ")
    }
    seen = [alarm for alarm in ALARMS.values() if expression(alarm)]
    assert len({alarm.title for alarm in seen}) == len(seen) >= 14
    for alarm in seen:
        assert series(expression(alarm)), alarm.name
        assert series(expression(alarm)) <= known(), alarm.name
    assert {alarm.runbook for alarm in ALARMS.values()} <= sections


def test_the_dashboard_shows_every_metric_and_none_twice_in_one_place() -> None:
    whole = json.loads((DEPLOY / "grafana" / "triptych.json").read_text())
    panels: list[dict[str, Any]] = whole["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    named = {
        name
        for panel in panels
        for target in panel.get("targets", ())
        for name in series(target["expr"])
    }
    assert named <= known()
    shown = {each.name for each in documented_metrics() if named & sample_names(each)}
    assert shown == {each.name for each in documented_metrics()}


def test_alarms_read_metrics_that_processes_write() -> None:
    exported = {each.name for each in EXPORTED}
    for alarm in ALARMS.values():
        if alarm.own is not None:
            assert {metric for metric, _ in alarm.own.metrics.values()} <= exported, alarm.name
            assert alarm.promql is not None, alarm.name
    assert COMMIT_SLOW_S in SLOW, "CloudWatch and Prometheus know commits by their bucket"


def test_the_guide_says_what_the_metrics_cost() -> None:
    guide = (ROOT / "docs" / "guides" / "monitoring.md").read_text("utf-8")
    assert len(EXPORTED) == OWN_METRICS
    assert f"cost {METRIC_USD_A_MONTH * len(EXPORTED):.2f} USD a month" in guide


def test_every_service_level_has_a_query_for_both() -> None:
    sections = re.split(r"(?m)^## ", LEVELS)[1:]
    assert len(sections) >= 7
    for section in sections:
        assert section.count("```promql\n") == section.count("```json\n") == 1, section[:40]
        assert re.search(r"\d %", section), section[:40]


def test_service_levels_name_metrics_that_exist() -> None:
    queries = promql_of_levels(LEVELS)
    assert len(queries) >= 7
    for query in queries:
        assert series(query), query
        assert series(query) <= known(), query


def test_service_levels_ask_cloudwatch_for_metrics_that_exist() -> None:
    ours = {each.name for each in EXPORTED}
    for block in re.findall(r"```json\n(.*?)```", LEVELS, re.DOTALL):
        queries = json.loads(block)
        ids = {query["Id"] for query in queries}
        (answer,) = [query for query in queries if query.get("ReturnData", True)]
        assert set(re.findall(r"\b[a-z]+\b", answer["Expression"])) <= ids
        assert ids - set(re.findall(r"\b[a-z]+\b", answer["Expression"])) == {answer["Id"]}
        for query in queries:
            if (stat := query.get("MetricStat")) is not None:
                metric = stat["Metric"]
                names = AWS_METRICS.get(metric["Namespace"], ours)
                assert metric["MetricName"] in names
                assert stat["Period"] >= 300, "values of one minute are kept for 15 days"
                assert stat["Period"] <= 86_400
