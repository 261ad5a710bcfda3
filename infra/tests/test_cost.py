"""The page on cost says what the script computes, from the stack's own numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.prices import PRICES, REGIONS, Tariff
from scripts.row_bytes import SNAPSHOTS, kept_bytes

from infra.profiles import PROFILES
from infra.tests.conftest import Synthesised
from scripts import cost

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"
TARGET_USD = 6.0
"""Of a million URLs, without NAT (issue 19)."""


def usd(lines: list[cost.Line]) -> float:
    return sum(line.usd for line in lines)


def test_the_page_has_the_tables() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = text.partition("<!-- cost -->\n")[2].partition("\n<!-- end -->")[0]
    assert shown == cost.tables(), "run `.venv-infra/bin/python -m scripts.cost`"


@pytest.mark.parametrize("region", REGIONS)
def test_a_million_urls_without_nat(region: str) -> None:
    tariff = Tariff(region)
    public, ipv6, nat = (usd(cost.per_million(tariff, way)) for way in ("public", "ipv6", "nat"))
    assert public < TARGET_USD
    assert public < ipv6 < nat
    assert nat - public > 6.5


def test_full_requests_cost_a_tenth() -> None:
    assert cost.sqs_requests(1000) < 0.4 * 1000


def test_tasks_a_host_are_what_the_template_can_place() -> None:
    assert cost.tasks_a_host() == 2


def test_standing_lines_count_what_the_template_has(prod: Synthesised) -> None:
    lines = {line.what: line.how for line in cost.standing(Tariff("us-east-1"), "prod")}
    balancer_zones = PROFILES["prod"].zones
    assert int(lines["NAT gateways"]) == len(prod.of("AWS::EC2::NatGateway"))
    assert int(lines["public addresses"]) == len(prod.of("AWS::EC2::EIP")) + balancer_zones
    interfaces = [
        endpoint
        for endpoint in prod.of("AWS::EC2::VPCEndpoint").values()
        if endpoint.get("VpcEndpointType") == "Interface"
    ]
    assert int(lines["endpoints"]) == sum(len(each["SubnetIds"]) for each in interfaces)
    (firewall,) = prod.of("AWS::WAFv2::WebACL").values()
    assert lines["firewall"] == f"an ACL and {len(firewall['Rules'])} rules"
    assert int(lines["secrets"]) == len(prod.of("AWS::SecretsManager::Secret"))
    assert len(prod.of("AWS::ECS::Service")) == cost.SERVICES
    policies = prod.of("AWS::ApplicationAutoScaling::ScalingPolicy").values()
    tracked = 0
    for policy in policies:
        given = policy.get("TargetTrackingScalingPolicyConfiguration", {})
        metrics = given.get("CustomizedMetricSpecification", {}).get("Metrics", [])
        looked_at = sum("MetricStat" in metric for metric in metrics) or 1
        tracked += 2 * looked_at if given else 0
    named = 0
    for alarm in prod.of("AWS::CloudWatch::Alarm").values():
        named += sum("MetricStat" in metric for metric in alarm.get("Metrics", ())) or 1
    assert lines["alarms"] == f"{named + tracked} metrics looked at"


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_budget_is_not_used_up_by_doing_nothing(profile: str, region: str) -> None:
    # The first warning comes at 80 per cent.
    assert usd(cost.standing(Tariff(region), profile)) < 0.9 * PROFILES[profile].budget_usd


def test_five_snapshots_take_more_room_than_one() -> None:
    assert kept_bytes(SNAPSHOTS) > 2 * kept_bytes(1) > 20_000


@pytest.mark.parametrize("name", PRICES)
def test_every_price_has_evidence_and_one_for_each_region(name: str) -> None:
    price = PRICES[name]
    assert len(price.usd) == len(REGIONS)
    assert price.evidence
    assert all(price.usd_in(region) > 0 for region in REGIONS)


def test_a_region_whose_prices_are_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"^mars-1: .* known are us-east-1, .*ap-northeast-1"):
        cost.tables(["us-east-1", "mars-1"])
