"""Metrics and traces leave every process, and alarms watch what the processes write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.alarms import alarms_of
from infra.tests.conftest import CONTEXT, Synthesised

NAMESPACE = "Triptych-prod"


def environments(synthesised: Synthesised) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the settings of each container and function."""
    for name, properties in synthesised.of("AWS::ECS::TaskDefinition").items():
        for container in properties["ContainerDefinitions"]:
            settings = {each["Name"]: each["Value"] for each in container["Environment"]}
            yield f"{name}/{container['Name']}", settings
    for name, properties in synthesised.of("AWS::Lambda::Function").items():
        if name.startswith("Functions"):
            yield name, properties["Environment"]["Variables"]


@pytest.mark.parametrize(("shape", "count"), [("prod", 9), ("dev", 10)])
def test_every_process_writes_its_metrics(
    request: pytest.FixtureRequest, shape: str, count: int
) -> None:
    found = dict(environments(request.getfixturevalue(shape)))
    assert len(found) == count
    for name, settings in found.items():
        assert settings["TRIPTYCH_EMF_NAMESPACE"] == f"Triptych-{shape}", name
        assert "TRIPTYCH_OTLP_ENDPOINT" not in settings, name


def metrics_of(alarm: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the namespaces and names of what an alarm looks at."""
    stats = [
        each["MetricStat"]["Metric"] for each in alarm.get("Metrics", ()) if "MetricStat" in each
    ]
    return {(each["Namespace"], each["MetricName"]) for each in (stats or [alarm])}


def test_alarms_of_our_own_metrics_look_at_this_stacks(prod: Synthesised) -> None:
    alarms = {
        alarm["AlarmDescription"].partition(":")[0]: alarm
        for name, alarm in prod.of("AWS::CloudWatch::Alarm").items()
        if name.startswith("Watch")
    }
    wanted_alarms = alarms_of("")
    assert alarms.keys() == wanted_alarms.keys()
    for name, given in wanted_alarms.items():
        alarm = alarms[name]
        assert alarm["Threshold"] == given.threshold
        if given.own is not None:
            wanted = {(NAMESPACE, metric) for metric, _ in given.own.metrics.values()}
            assert metrics_of(alarm) == wanted, name
        period = alarm.get("Period") or max(
            each["MetricStat"]["Period"] for each in alarm["Metrics"] if "MetricStat" in each
        )
        assert alarm["EvaluationPeriods"] * period >= 60 * given.for_min, name
        assert (alarm["TreatMissingData"] == "breaching") == given.silence_rings, name


def test_traces_go_to_cloudwatch_if_the_deployer_says_so(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("traces")
    traced = Synthesised(folder, "prod", "ecs", context={**CONTEXT, "traces": "true"})
    endpoint = "https://xray.eu-central-1.amazonaws.com/v1/traces"
    for name, settings in environments(traced):
        assert settings["TRIPTYCH_OTLP_ENDPOINT"] == endpoint, name
        assert 0 < float(settings["TRIPTYCH_TRACE_SHARE"]) <= 0.1, name
    policies = [str(each) for each in traced.of("AWS::IAM::Policy").values()]
    tasks = [each for each in policies if "rds-db:connect" in each and "Task" in each]
    allowed = [each for each in policies if "xray:PutTraceSegments" in each]
    assert len(allowed) >= 6
    assert len(tasks) <= len(allowed)
