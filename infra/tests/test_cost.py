"""The page on cost says what the script computes, from the stack's own numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.prices import PRICES, REGIONS, Tariff
from scripts.row_bytes import DOCUMENT_B, SNAPSHOTS, kept_bytes

from infra.profiles import PROFILES, Choices
from infra.tests.conftest import CONTEXT, Synthesised
from scripts import cost

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"
TARGET_USD = 6.0
"""Of a million URLs, without NAT (issue 19)."""


def usd(lines: list[cost.Line]) -> float:
    return sum(line.usd for line in lines)


def looked_at(synthesised: Synthesised) -> int:
    """Return how many metrics alarms look at."""
    return sum(
        sum("MetricStat" in metric for metric in alarm.get("Metrics", ())) or 1
        for alarm in synthesised.of("AWS::CloudWatch::Alarm").values()
    )


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
        found = sum("MetricStat" in metric for metric in metrics) or 1
        tracked += 2 * found if given else 0
    assert lines["alarms"] == f"{looked_at(prod) + tracked} metrics looked at"


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_budget_is_not_used_up_by_doing_nothing(profile: str, region: str) -> None:
    # The first warning comes at 80 per cent.
    assert usd(cost.standing(Tariff(region), profile)) < 0.9 * PROFILES[profile].budget_usd


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_budget_is_not_used_up_by_an_idle_documentdb(profile: str, region: str) -> None:
    chosen = Choices.read({**CONTEXT, "profile": profile, "reads": "documentdb"})
    tariff = Tariff(region)
    idle = usd(cost.standing(tariff, profile)) + usd(cost.reads_standing(tariff, profile))
    assert idle < 0.9 * chosen.budget_usd
    assert chosen.budget_usd > PROFILES[profile].budget_usd


def test_lines_of_documentdb_count_what_the_template_has_more(
    prod: Synthesised, documentdb: Synthesised
) -> None:
    lines = {line.what: line.how for line in cost.reads_standing(Tariff("us-east-1"), "prod")}
    instances = documentdb.of("AWS::DocDB::DBInstance").values()
    (kind,) = {each["DBInstanceClass"] for each in instances}
    assert lines["DocumentDB"] == f"{len(instances)} of {kind.removeprefix('db.')}"
    assert f"an hour of {kind} of DocumentDB" == PRICES["prod_documentdb_hour"].what
    secrets = [len(each.of("AWS::SecretsManager::Secret")) for each in (prod, documentdb)]
    assert secrets[1] - secrets[0] == 1
    before, after = (looked_at(each) for each in (prod, documentdb))
    assert lines["alarms"] == f"{after - before} metrics looked at"
    (budget,) = documentdb.of("AWS::Budgets::Budget").values()
    profile = PROFILES["prod"]
    assert budget["Budget"]["BudgetLimit"]["Amount"] == (
        profile.budget_usd + profile.documentdb_budget_usd
    )


def test_what_is_kept_in_documentdb_is_a_small_part_of_what_postgres_keeps() -> None:
    # Without embeddings, and of the newest snapshot alone.
    assert kept_bytes(1) > DOCUMENT_B + cost.DOCUMENT_OVERHEAD_B
    lines = {line.what: line for line in cost.reads_million(Tariff("us-east-1"))}
    assert set(lines) == {"DocumentDB storage", "DocumentDB I/O", "DocumentDB backups"}
    assert all(line.usd > 0 for line in lines.values())


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
