"""Workers on ECS: one service a phase, scaled on the backlog of each task, and to none."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr_assets as assets
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from infra import grants
from infra.cluster import Cluster
from infra.data import PORT, Data
from infra.network import outbound
from infra.profiles import Choices
from infra.reads import Reads
from infra.sizes import SCALE_IN_S, SCALE_OUT_S, Size, sizes
from infra.tasks import Task, Work
from infra.tracking import Cooldowns, query, track

VISIBLE = "ApproximateNumberOfMessagesVisible"
HIDDEN = "ApproximateNumberOfMessagesNotVisible"
GPU_SETTINGS = {
    # Named, so that a task without a working GPU does not start: it would be paid for nothing.
    "TRIPTYCH_EMBED_DEVICE": "cuda",
    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
}
"""The second is for NVIDIA's container runtime: which parts of the driver a container sees."""


class Workers(Construct):
    """``worker-gather``, ``worker-acquire``, ``worker-ai``."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        choices: Choices,
        cluster: Cluster,
        data: Data,
        built: assets.DockerImageAsset,
        reads: Reads,
        *,
        with_gpu: assets.DockerImageAsset,
    ) -> None:
        super().__init__(scope, name)
        profile = choices.profile
        self.tasks: dict[str, Task] = {}
        for size in sizes(acquire_gpu=choices.acquire_gpu):
            environment = {
                "TRIPTYCH_DATABASE_CONNECTIONS": str(size.connections),
                **reads.settings,
                **(GPU_SETTINGS if size.gpus else {}),
            }
            secrets = reads.secrets()
            if size.phase == "gather" and choices.source_token:
                secrets["TRIPTYCH_SOURCE_TOKEN"] = _token(self, choices.source_token)
                environment["TRIPTYCH_SOURCE_TOKEN_FOR"] = choices.source_token_for
            if size.phase in grants.READING and choices.source_buckets:
                environment["TRIPTYCH_SOURCE_BUCKETS"] = choices.listed_buckets
            work = Work(
                f"worker-{size.phase}",
                ["worker", size.phase, "--json"],
                size.cpu,
                size.memory_mib,
                environment=environment,
                secrets=secrets,
                bridged=size.provider in cluster.bridged,
                gpus=size.gpus,
            )
            task = Task(
                self,
                size.phase,
                work,
                profile=profile,
                data=data,
                built=with_gpu if size.gpus else built,
            )
            grants.may_look(task.role, data)
            grants.may_send(task.role, data)
            grants.may_consume(task.role, data, [size.queue])
            grants.may_use_objects(task.role, data, size.phase)
            if size.phase in grants.READING:
                grants.may_read_sources(
                    task.role, choices.source_buckets, lists=size.phase == "gather"
                )
            if size.phase == "ai":
                # Only these workers collect, besides the function that sweeps.
                grants.may_collect_objects(task.role, data)
            provider = cluster.providers[size.provider]
            service = ecs.Ec2Service(
                self,
                f"{size.phase}-service",
                cluster=cluster.cluster,
                task_definition=task.definition,
                security_groups=(
                    None
                    if work.bridged
                    else [outbound(self, f"{size.phase}-group", cluster.cluster.vpc)]
                ),
                # Given once, when nothing runs yet: a release does not take away what works.
                desired_count=0 if choices.idle else None,
                min_healthy_percent=0,
                max_healthy_percent=200,
                circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
                capacity_provider_strategies=[
                    ecs.CapacityProviderStrategy(
                        capacity_provider=provider.capacity_provider_name, weight=1
                    )
                ],
                placement_strategies=[ecs.PlacementStrategy.packed_by_cpu()],
            )
            reaching = cluster.hosts[size.provider] if work.bridged else service.connections
            reaching.allow_to(data.database, ec2.Port.tcp(PORT))
            reads.reached_by(reaching)
            self._scale(size, service, choices.tasks(size.phase), cluster, data)
            self.tasks[size.phase] = task

    def _scale(
        self,
        size: Size,
        service: ecs.Ec2Service,
        tasks: tuple[int, int],
        cluster: Cluster,
        data: Data,
    ) -> None:
        """Track the backlog of each task; wake the first one when anything waits for none."""
        target = service.auto_scale_task_count(min_capacity=tasks[0], max_capacity=tasks[1])
        queue = data.queues[size.queue].queue
        track(
            self,
            f"{size.phase}-backlog",
            service,
            [
                query("waiting", "AWS/SQS", VISIBLE, {"QueueName": queue.queue_name}),
                # What is held counts: no task is taken away from under its work.
                query("held", "AWS/SQS", HIDDEN, {"QueueName": queue.queue_name}),
            ],
            "waiting + held",
            size.backlog,
            Cooldowns(SCALE_OUT_S, SCALE_IN_S),
            after=target,
        )
        self._wake(size, target, cluster, service, queue.queue_name)

    def _wake(
        self,
        size: Size,
        target: ecs.ScalableTaskCount,
        cluster: Cluster,
        service: ecs.Ec2Service,
        queue: str,
    ) -> None:
        waiting = cloudwatch.Metric(
            namespace="AWS/SQS",
            metric_name=VISIBLE,
            dimensions_map={"QueueName": queue},
            period=Duration.minutes(1),
            statistic="Maximum",
        )
        running = cloudwatch.Metric(
            namespace="ECS/ContainerInsights",
            metric_name="RunningTaskCount",
            dimensions_map={
                "ClusterName": cluster.cluster.cluster_name,
                "ServiceName": service.service_name,
            },
            period=Duration.minutes(1),
            statistic="Maximum",
        )
        asleep = cloudwatch.MathExpression(
            expression="IF(waiting > 0 AND FILL(running, 0) < 1, 1, 0)",
            using_metrics={"waiting": waiting, "running": running},
            period=Duration.minutes(1),
            label="messages wait and nobody works",
        )
        target.scale_on_metric(
            f"{size.phase}-wake",
            metric=asleep,
            evaluation_periods=1,
            adjustment_type=scaling.AdjustmentType.EXACT_CAPACITY,
            scaling_steps=[
                scaling.ScalingInterval(lower=1, change=1),
                scaling.ScalingInterval(lower=2, change=1),
            ],
        )


def _token(scope: Construct, name: str) -> ecs.Secret:
    from aws_cdk import aws_secretsmanager as secrets

    return ecs.Secret.from_secrets_manager(
        secrets.Secret.from_secret_name_v2(scope, "SourceToken", name)
    )
