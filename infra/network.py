"""The network: public for the load balancer, private for all that works, isolated for data.

`egress` says how workers reach the servers that they fetch from (ADR 39):

- ``nat``: from private subnets, through NAT gateways. Every byte is paid for.
- ``public``: hosts of workers are in the public subnets, with a public IPv4 address each and
  nothing that lets a connection in. Tasks that have a network interface of their own cannot have a
  public address on EC2, so these use their host's (`bridge`).
- ``ipv6``: as ``nat``, and beside it IPv6 through an egress-only internet gateway, which costs
  nothing. Servers without an IPv6 address are reached through NAT.

The gateways stay in each case: functions can have no public address, and call webhooks.
"""

from __future__ import annotations

from aws_cdk import Fn, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.profiles import IPV6, Choices
from infra.retention import days

ENDPOINTS = {
    "Sqs": ec2.InterfaceVpcEndpointAwsService.SQS,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "Secrets": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "Ecr": ec2.InterfaceVpcEndpointAwsService.ECR,
    "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
}


WEB_PORTS = (80, 443)
"""Ports on which anything is reached outside: the web, and AWS itself."""


def outbound(scope: Construct, name: str, vpc: ec2.IVpc) -> ec2.SecurityGroup:
    """Return a security group whose members reach `WEB_PORTS` and nothing else.

    What needs the database is given a rule of its own.
    """
    group = ec2.SecurityGroup(scope, name, vpc=vpc, allow_all_outbound=False)
    peers = [ec2.Peer.any_ipv4(), *([ec2.Peer.any_ipv6()] if is_dual_stack(vpc) else [])]
    for port in WEB_PORTS:
        for peer in peers:
            group.add_egress_rule(peer, ec2.Port.tcp(port), f"The web, port {port}")
    return group


def is_dual_stack(vpc: ec2.IVpc) -> bool:
    """Return whether what is in the network has IPv6 addresses, too."""
    # The CDK makes it for `IpProtocol.DUAL_STACK` and says so nowhere else.
    return vpc.node.try_find_child("ipv6cidr") is not None


class Network(Construct):
    """A VPC in three zones or two, with a way to S3 that costs nothing."""

    def __init__(self, scope: Construct, name: str, choices: Choices) -> None:
        super().__init__(scope, name)
        profile = choices.profile
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            # Asked for when it is deployed: not every account has zones a, b and c.
            availability_zones=[
                Fn.select(number, Fn.get_azs(choices.region)) for number in range(profile.zones)
            ],
            nat_gateways=profile.nat_gateways,
            ip_protocol=ec2.IpProtocol.DUAL_STACK if choices.egress == IPV6 else None,
            restrict_default_security_group=True,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=False
                ),
                ec2.SubnetConfiguration(
                    name="work", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=20
                ),
                ec2.SubnetConfiguration(
                    name="data", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=26
                ),
            ],
        )
        # Pictures are most of the traffic; past NAT they cost nothing.
        self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        # Dearer than NAT until much is sent, but there in every zone.
        if profile.keep:
            for each, service in ENDPOINTS.items():
                self.vpc.add_interface_endpoint(each, service=service)
        group = logs.LogGroup(
            self,
            "Flows",
            retention=days(profile.log_days),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.vpc.add_flow_log(
            "FlowLog",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )
