"""Servers follow what is connected and asked, and the firewall lets an office see its pictures."""

from __future__ import annotations

from typing import Any

from infra import request_limits
from infra.sizes import CLIENTS_A_TASK
from infra.tests.conftest import Synthesised


def policies(prod: Synthesised, service: str) -> list[dict[str, Any]]:
    """Return how a service's number of tasks is tracked."""
    return [
        policy["TargetTrackingScalingPolicyConfiguration"]
        for name, policy in prod.of("AWS::ApplicationAutoScaling::ScalingPolicy").items()
        if policy["PolicyType"] == "TargetTrackingScaling" and service in name
    ]


def test_live_status_has_tasks_for_its_clients_and_not_for_its_cpu_alone(prod: Synthesised) -> None:
    (by_clients,) = policies(prod, "liveclients")
    metrics = {m["Id"]: m for m in by_clients["CustomizedMetricSpecification"]["Metrics"]}
    (result,) = (m for m in metrics.values() if m["ReturnData"])
    assert result["Expression"] == "(clients) / IF(FILL(running, 0) > 1, running, 1)"
    clients = metrics["clients"]["MetricStat"]
    assert (clients["Stat"], clients["Metric"]["MetricName"]) == ("Sum", "LiveClients")
    assert clients["Metric"]["Namespace"] == "Triptych-prod"
    assert by_clients["TargetValue"] == CLIENTS_A_TASK
    assert len(policies(prod, "LiveService")) == 1, "and by its CPU"


def test_the_api_has_tasks_for_its_requests(prod: Synthesised) -> None:
    specifications = [
        policy["PredefinedMetricSpecification"] for policy in policies(prod, "ApiService")
    ]
    kinds = {each["PredefinedMetricType"] for each in specifications}
    assert kinds == {"ALBRequestCountPerTarget", "ECSServiceAverageCPUUtilization"}


def test_new_clients_are_led_to_the_server_that_has_the_fewest(prod: Synthesised) -> None:
    algorithm = {"Key": "load_balancing.algorithm.type", "Value": "least_outstanding_requests"}
    groups = prod.of("AWS::ElasticLoadBalancingV2::TargetGroup").values()
    chosen = [group["Port"] for group in groups if algorithm in group["TargetGroupAttributes"]]
    assert chosen == [8701]


def test_an_office_behind_one_address_may_scroll_galleries(prod: Synthesised) -> None:
    (firewall,) = prod.of("AWS::WAFv2::WebACL").values()
    rules = sorted(firewall["Rules"], key=lambda rule: rule["Priority"])
    assert [rule["Priority"] for rule in rules] == list(range(len(rules)))
    rates = [rule["Statement"]["RateBasedStatement"] for rule in rules[:2]]
    assert [rate["Limit"] for rate in rates] == [
        request_limits.REQUESTS,
        request_limits.PICTURE_REQUESTS,
    ]
    others, pictures = (rate["ScopeDownStatement"] for rate in rates)
    assert others == {"NotStatement": {"Statement": pictures}}
    match = pictures["ByteMatchStatement"]
    assert (match["PositionalConstraint"], match["SearchString"]) == ("ENDS_WITH", "/thumbnail")
