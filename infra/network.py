"""The network: public for the load balancer, private for all that works, isolated for data."""

from __future__ import annotations

from aws_cdk import Fn, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.profiles import Profile
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
    for port in WEB_PORTS:
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(port), f"The web, port {port}")
    return group


class Network(Construct):
    """A VPC whose workers reach the internet through NAT, and S3 beside it."""

    def __init__(self, scope: Construct, name: str, profile: Profile, region: str) -> None:
        super().__init__(scope, name)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            # Asked for when it is deployed: not every account has zones a, b and c.
            availability_zones=[
                Fn.select(number, Fn.get_azs(region)) for number in range(profile.zones)
            ],
            nat_gateways=profile.nat_gateways,
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
