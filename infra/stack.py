"""The stack: network, data, processes, the way in, and what is watched."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Stack, Tags
from constructs import Construct

from infra.cluster import Cluster
from infra.connections import Connections
from infra.data import Data
from infra.edge import Edge
from infra.functions import Functions
from infra.network import Network
from infra.profiles import PUBLIC, Choices
from infra.reads import Reads
from infra.services import Services
from infra.sizes import hidden_s, window
from infra.tasks import image
from infra.watch import Watch
from infra.workers import Workers


class TriptychStack(Stack):
    """One deployment of Triptych."""

    def __init__(self, scope: Construct, name: str, choices: Choices, **given: Any) -> None:
        super().__init__(scope, name, **given)
        vpc = Network(self, "Network", choices).vpc
        data = self.data = Data(
            self,
            "Data",
            choices,
            vpc,
            hidden_s=hidden_s(choices.workers),
            window=window(choices.workers),
        )
        reads = Reads(self, "Reads", choices, vpc)
        cluster = Cluster(
            self, "Cluster", vpc, public=choices.egress == PUBLIC, gpu=choices.acquire_gpu
        )
        built = image(self, "service")
        edge = Edge(self, "Edge", choices, vpc, data.log_bucket)
        signer = edge.balancer.load_balancer_arn
        services = Services(
            self, "Services", choices, cluster, data, built, reads=reads, signer=signer
        )
        if choices.workers == "ecs":
            with_gpu = image(self, "service", gpu=True) if choices.acquire_gpu else built
            workers = Workers(
                self, "Workers", choices, cluster, data, built, reads, with_gpu=with_gpu
            )
            workers.node.add_dependency(services.api)
        functions = Functions(
            self, "Functions", choices, vpc, data, image(self, "lambda"), reads=reads
        )
        functions.node.add_dependency(services.api)
        edge.lead_to(services)
        Connections(self, "Connections", services, edge)
        Watch(self, "Watch", choices, data, edge, functions, reads)
        Tags.of(self).add("triptych", choices.profile.name)
        CfnOutput(self, "Url", value=f"https://{choices.domain}")
        CfnOutput(self, "Idle", value=str(choices.idle).lower())
        CfnOutput(self, "BalancerName", value=edge.balancer.load_balancer_dns_name)
        CfnOutput(self, "SteadyProvider", value=cluster.steady.capacity_provider_name)
        CfnOutput(self, "ClusterName", value=cluster.cluster.cluster_name)
        CfnOutput(self, "MigrateTask", value=services.migrate.definition.task_definition_arn)
        CfnOutput(self, "VerifyTask", value=services.verify.definition.task_definition_arn)
        CfnOutput(self, "DatabaseName", value=data.database.instance_identifier)
        CfnOutput(self, "Bucket", value=data.bucket.bucket_name)
        CfnOutput(
            self,
            "MigrateSubnets",
            value=",".join(subnet.subnet_id for subnet in vpc.private_subnets),
        )
        CfnOutput(self, "FirstKey", value=services.first_key.secret_arn)
        if reads.cluster is not None:
            # For who else is let in: docs/guides/aws.md.
            CfnOutput(self, "ReadsEndpoint", value=reads.cluster.cluster_endpoint.hostname)
            CfnOutput(self, "ReadsSecurityGroup", value=reads.cluster.security_group_id)
        group = services.api.connections.security_groups[0]
        CfnOutput(self, "MigrateSecurityGroup", value=group.security_group_id)
