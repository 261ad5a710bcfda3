"""How workers reach the internet: routes, nothing that lets a connection in, tasks with a place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.data import PORT
from infra.network import WEB_PORTS
from infra.profiles import Choices
from infra.tests.conftest import CONTEXT, Synthesised
from infra.tests.test_fits import PROVIDERS, host, taken
from infra.workers import SIZES

FETCHING = {size.phase for size in SIZES if size.provider == "spot"}


@pytest.fixture(scope="session")
def ipv6(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    folder = tmp_path_factory.mktemp("ipv6")
    return Synthesised(folder, "prod", "ecs", {**CONTEXT, "egress": "ipv6"})


def spot(synthesised: Synthesised, kind: str) -> dict[str, Any]:
    """Return the properties of the Spot group's resource of a kind."""
    (found,) = [each for name, each in synthesised.of(kind).items() if "ClusterSpot" in name]
    return found


def routes(synthesised: Synthesised, subnet: str) -> dict[str, str]:
    """Return where each destination leads from a subnet, by its logical id."""
    (table,) = [
        association["RouteTableId"]["Ref"]
        for association in synthesised.of("AWS::EC2::SubnetRouteTableAssociation").values()
        if association["SubnetId"]["Ref"] == subnet
    ]
    found: dict[str, str] = {}
    for route in synthesised.of("AWS::EC2::Route").values():
        if route["RouteTableId"]["Ref"] == table:
            destination = route.get("DestinationCidrBlock") or route["DestinationIpv6CidrBlock"]
            (way,) = [
                name
                for name in ("GatewayId", "NatGatewayId", "EgressOnlyInternetGatewayId")
                if name in route
            ]
            found[destination] = way
    return found


def ingress_of(synthesised: Synthesised, group: str) -> list[Any]:
    """Return all that lets connections into a security group."""
    own = synthesised.of("AWS::EC2::SecurityGroup")[group].get("SecurityGroupIngress", [])
    apart = synthesised.of("AWS::EC2::SecurityGroupIngress").values()
    return [*own, *(each for each in apart if each["GroupId"]["Fn::GetAtt"][0] == group)]


def test_public_hosts_have_an_address_and_a_route_and_let_nothing_in(chosen: Synthesised) -> None:
    data = spot(chosen, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    (interface,) = data["NetworkInterfaces"]
    assert interface["AssociatePublicIpAddress"] is True
    assert "SecurityGroupIds" not in data
    (group,) = [each["Fn::GetAtt"][0] for each in interface["Groups"]]
    assert ingress_of(chosen, group) == []
    subnets = spot(chosen, "AWS::AutoScaling::AutoScalingGroup")["VPCZoneIdentifier"]
    assert len(subnets) == 3
    for subnet in subnets:
        assert routes(chosen, subnet["Ref"]) == {"0.0.0.0/0": "GatewayId"}
    beyond = chosen.of("AWS::EC2::SecurityGroup")[group]["SecurityGroupEgress"]
    assert {each["FromPort"] for each in beyond} == set(WEB_PORTS)


def test_public_hosts_alone_are_public(chosen: Synthesised, prod: Synthesised) -> None:
    for name, template in chosen.of("AWS::EC2::LaunchTemplate").items():
        interfaces = template["LaunchTemplateData"].get("NetworkInterfaces", [])
        assert bool(interfaces) == ("Spot" in name), name
    for name, group in chosen.of("AWS::AutoScaling::AutoScalingGroup").items():
        ways = {
            way for s in group["VPCZoneIdentifier"] for way in routes(chosen, s["Ref"]).values()
        }
        assert ways == ({"GatewayId"} if "Spot" in name else {"NatGatewayId"}), name
    subnets = chosen.of("AWS::EC2::Subnet").values()
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in subnets)
    assert "NetworkInterfaces" not in json.dumps(prod.of("AWS::EC2::LaunchTemplate"))


def test_public_tasks_use_their_hosts_address(chosen: Synthesised, prod: Synthesised) -> None:
    for synthesised, mode in ((chosen, "bridge"), (prod, "awsvpc")):
        for name, definition in synthesised.of("AWS::ECS::TaskDefinition").items():
            fetches = any(name.startswith(f"Workers{phase}") for phase in FETCHING)
            assert definition["NetworkMode"] == (mode if fetches else "awsvpc"), name
    for name, service in chosen.of("AWS::ECS::Service").items():
        fetches = any(name.startswith(f"Workers{phase}") for phase in FETCHING)
        # ECS refuses a service in bridge mode that has a network configuration.
        assert ("NetworkConfiguration" in service) == (not fetches), name


def test_public_tasks_get_nothing_of_the_hosts_metadata(chosen: Synthesised) -> None:
    options = spot(chosen, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["MetadataOptions"]
    # Without a token it answers nobody, and a token's answer does not pass the bridge.
    assert options["HttpTokens"] == "required"
    assert options["HttpPutResponseHopLimit"] == 1
    assert options.get("HttpProtocolIpv6", "disabled") == "disabled"


def test_public_hosts_reach_the_database_and_it_alone_takes_them(chosen: Synthesised) -> None:
    (group,) = [
        name for name in chosen.of("AWS::EC2::SecurityGroup") if name.startswith("ClusterSpotHosts")
    ]
    allowed = [
        rule
        for rule in chosen.of("AWS::EC2::SecurityGroupIngress").values()
        if rule["SourceSecurityGroupId"]["Fn::GetAtt"][0] == group
    ]
    assert {rule["FromPort"] for rule in allowed} == {PORT}
    assert all("Database" in rule["GroupId"]["Fn::GetAtt"][0] for rule in allowed)
    assert not any(
        "gathergroup" in name or "acquiregroup" in name
        for name in chosen.of("AWS::EC2::SecurityGroup")
    )


def test_public_tasks_have_room_on_every_host(chosen: Synthesised) -> None:
    kinds, _, services = PROVIDERS["spot"]
    for kind in kinds:
        cpu, memory, _ = host(kind)
        for service in services:
            wanted_cpu, wanted_memory = taken(chosen, service)
            assert wanted_cpu <= cpu, kind
            assert wanted_memory <= memory, kind
        assert 2 * taken(chosen, "acquire")[0] <= cpu, "what costs are computed from"
        assert 2 * taken(chosen, "acquire")[1] <= memory


def test_ipv6_goes_past_nat_and_lets_nothing_in(ipv6: Synthesised) -> None:
    (gateway,) = ipv6.of("AWS::EC2::EgressOnlyInternetGateway")
    assert gateway
    for group in ipv6.of("AWS::AutoScaling::AutoScalingGroup").values():
        for subnet in group["VPCZoneIdentifier"]:
            assert routes(ipv6, subnet["Ref"]) == {
                "0.0.0.0/0": "NatGatewayId",
                "::/0": "EgressOnlyInternetGatewayId",
            }
    for name, subnet in ipv6.of("AWS::EC2::Subnet").items():
        assert subnet["AssignIpv6AddressOnCreation"], name
        if "data" in name:
            assert "::/0" not in routes(ipv6, name)
    assert not any(
        "CidrIpv6" in json.dumps(rule)
        for name in ipv6.of("AWS::EC2::SecurityGroup")
        for rule in ingress_of(ipv6, name)
        if name.startswith(("Services", "Workers", "Functions", "Cluster"))
    )


def test_ipv6_is_allowed_wherever_ipv4_is(ipv6: Synthesised, prod: Synthesised) -> None:
    for name, group in ipv6.of("AWS::EC2::SecurityGroup").items():
        if name.startswith(("Services", "Workers", "Functions", "Cluster")):
            rules = group["SecurityGroupEgress"]
            for family, everywhere in (("CidrIp", "0.0.0.0/0"), ("CidrIpv6", "::/0")):
                ports = {rule["FromPort"] for rule in rules if rule.get(family) == everywhere}
                assert ports == set(WEB_PORTS), name
    functions = ipv6.of("AWS::Lambda::Function").values()
    in_network = [each["VpcConfig"] for each in functions if "VpcConfig" in each]
    assert in_network
    assert all(each["Ipv6AllowedForDualStack"] for each in in_network)
    assert "ipv6" not in json.dumps(prod.of("AWS::EC2::SecurityGroup")).lower()


def test_ways_out_that_are_none_are_named() -> None:
    with pytest.raises(ValueError, match=r"^egress: must be one of nat, public, ipv6, not 'none'"):
        Choices.read({**CONTEXT, "egress": "none"})
    with pytest.raises(ValueError, match=r"^egress: functions can have no public address"):
        Choices.read({**CONTEXT, "egress": "public", "workers": "lambda"})
    assert Choices.read({**CONTEXT, "egress": "ipv6", "workers": "lambda"}).egress == "ipv6"
    assert Choices.read(CONTEXT).egress == "nat"
