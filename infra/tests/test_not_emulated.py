"""What the emulator does not make (`aws_local/template.py`) and other tests do not look at."""

from __future__ import annotations

import json

import pytest

from infra.data import PORT
from infra.network import WEB_PORTS
from infra.services import API_PORT, LIVE_PORT
from infra.tests.conftest import Synthesised


def test_hosts_are_graviton_encrypted_and_none_where_nothing_runs(prod: Synthesised) -> None:
    for template in prod.of("AWS::EC2::LaunchTemplate").values():
        data = template["LaunchTemplateData"]
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        assert all(disk["Ebs"]["Encrypted"] for disk in data["BlockDeviceMappings"])
        assert "arm64" in json.dumps(data["ImageId"])
    groups = prod.of("AWS::AutoScaling::AutoScalingGroup")
    on_demand = {}
    for name, group in groups.items():
        policy = group["MixedInstancesPolicy"]
        types = [each["InstanceType"] for each in policy["LaunchTemplate"]["Overrides"]]
        assert all(kind.partition(".")[0].endswith(("g", "gd")) for kind in types), types
        assert group["MinSize"] == "0"
        share = policy["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"]
        on_demand["Spot" in name] = share
    assert on_demand == {True: 0, False: 100}


def test_tasks_bring_and_drain_their_hosts(prod: Synthesised) -> None:
    providers = prod.of("AWS::ECS::CapacityProvider")
    assert len(providers) == 3
    for provider in providers.values():
        hosts = provider["AutoScalingGroupProvider"]
        assert hosts["ManagedScaling"] == {"Status": "ENABLED", "TargetCapacity": 100}
        assert hosts["ManagedDraining"] == "ENABLED"
    (joined,) = prod.of("AWS::ECS::ClusterCapacityProviderAssociations").values()
    assert {each["Ref"] for each in joined["CapacityProviders"]} == providers.keys()


@pytest.mark.parametrize(("shape", "zones"), [("prod", 3), ("dev", 1)])
def test_each_zone_of_prod_has_a_way_out(
    request: pytest.FixtureRequest, shape: str, zones: int
) -> None:
    synthesised: Synthesised = request.getfixturevalue(shape)
    gateways = synthesised.of("AWS::EC2::NatGateway").values()
    assert len({json.dumps(gateway["SubnetId"]) for gateway in gateways}) == zones
    assert len(synthesised.of("AWS::EC2::EIP")) == zones
    (flows,) = synthesised.of("AWS::EC2::FlowLog").values()
    assert flows["TrafficType"] == "REJECT"


@pytest.mark.parametrize(("shape", "clients"), [("prod", 6), ("dev", 7)])
def test_g9_the_database_is_reached_by_what_works_with_it_alone(
    request: pytest.FixtureRequest, shape: str, clients: int
) -> None:
    synthesised: Synthesised = request.getfixturevalue(shape)
    rules = synthesised.of("AWS::EC2::SecurityGroupIngress").values()
    # API, live status, sweeper, and the three workers; or the functions, dead letters' too.
    allowed = [rule for rule in rules if rule["FromPort"] == PORT]
    assert len(allowed) == clients
    assert all("SourceSecurityGroupId" in rule for rule in rules)
    assert all(rule["FromPort"] == rule["ToPort"] for rule in rules)
    assert {rule["FromPort"] for rule in rules} == {PORT, API_PORT, LIVE_PORT}
    out = synthesised.of("AWS::EC2::SecurityGroupEgress").values()
    assert sorted(rule["FromPort"] for rule in out) == [*[PORT] * clients, API_PORT, LIVE_PORT]
    assert all("DestinationSecurityGroupId" in rule for rule in out)
    for name, group in synthesised.of("AWS::EC2::SecurityGroup").items():
        beyond = {
            rule.get("FromPort")
            for rule in group.get("SecurityGroupEgress", ())
            if rule["CidrIp"] == "0.0.0.0/0"
        }
        ours = name.startswith(("Services", "Workers", "Functions", "Cluster"))
        assert not ours or beyond == set(WEB_PORTS), name


def test_the_sweeper_and_the_database_are_attached(prod: Synthesised) -> None:
    assert not prod.of("AWS::Logs::MetricFilter")
    (permission,) = prod.of("AWS::Lambda::Permission").values()
    assert permission["Principal"] == "events.amazonaws.com"
    (attached,) = prod.of("AWS::SecretsManager::SecretTargetAttachment").values()
    assert attached["TargetType"] == "AWS::RDS::DBInstance"
