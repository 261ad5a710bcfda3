"""Workers on ECS: one service a phase, scaled on the backlog of each task, and to none."""

from __future__ import annotations

from dataclasses import dataclass

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
from infra.tasks import Task, Work

METRIC = scaling.CfnScalingPolicy
VISIBLE = "ApproximateNumberOfMessagesVisible"
HIDDEN = "ApproximateNumberOfMessagesNotVisible"


@dataclass(frozen=True)
class Size:
    """What a worker takes, and how many messages each should have before it."""

    phase: str
    queue: str
    cpu: int
    memory_mib: int
    backlog: int
    provider: str
    """Of the cluster's capacity providers."""
    connections: int


SIZES = (
    Size("gather", "brand-gather-queue", 512, 2560, 4, "spot", connections=4),
    # More than a task holds at a time, so that no other comes before this one is busy; less than
    # a brand may have waiting, so that a brand alone gets the next one.
    Size("acquire", "url-process-queue", 2048, 4096, 400, "spot", connections=6),
    Size("ai", "brand-ai-phase-queue", 2048, 8192, 2, "large", connections=4),
)


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
    ) -> None:
        super().__init__(scope, name)
        profile = choices.profile
        self.tasks: dict[str, Task] = {}
        for size in SIZES:
            environment = {"TRIPTYCH_DATABASE_CONNECTIONS": str(size.connections)}
            secrets = {}
            if size.phase == "gather" and choices.source_token:
                secrets = {"TRIPTYCH_SOURCE_TOKEN": _token(self, choices.source_token)}
                environment["TRIPTYCH_SOURCE_TOKEN_FOR"] = choices.source_token_for
            if size.phase == "gather" and choices.source_buckets:
                environment["TRIPTYCH_SOURCE_BUCKETS"] = choices.listed_buckets
            work = Work(
                f"worker-{size.phase}",
                ["worker", size.phase, "--json"],
                size.cpu,
                size.memory_mib,
                environment=environment,
                secrets=secrets,
                bridged=size.provider in cluster.bridged,
            )
            task = Task(self, size.phase, work, profile=profile, data=data, built=built)
            grants.may_look(task.role, data)
            grants.may_send(task.role, data)
            grants.may_consume(task.role, data, [size.queue])
            grants.may_use_objects(task.role, data, size.phase)
            if size.phase == "gather":
                grants.may_read_lists(task.role, choices.source_buckets)
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
            self._scale(size, service, profile.tasks[size.phase], cluster, data)
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
        here = {"cluster": cluster.cluster.cluster_name, "service": service.service_name}
        scaling.CfnScalingPolicy(
            self,
            f"{size.phase}-backlog",
            policy_name=f"{size.phase}-backlog-per-task",
            policy_type="TargetTrackingScaling",
            service_namespace="ecs",
            scalable_dimension="ecs:service:DesiredCount",
            resource_id=f"service/{here['cluster']}/{here['service']}",
            target_tracking_scaling_policy_configuration=METRIC.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=size.backlog,
                scale_in_cooldown=300,
                scale_out_cooldown=60,
                customized_metric_specification=METRIC.CustomizedMetricSpecificationProperty(
                    metrics=[
                        _of_queue("waiting", VISIBLE, queue.queue_name),
                        # What is held counts: no task is taken away from under its work.
                        _of_queue("held", HIDDEN, queue.queue_name),
                        _of_service("running", here),
                        METRIC.TargetTrackingMetricDataQueryProperty(
                            id="backlog",
                            label="messages for each running task",
                            expression="(waiting + held) / IF(FILL(running, 0) > 1, running, 1)",
                            return_data=True,
                        ),
                    ]
                ),
            ),
        ).node.add_dependency(target)
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


def _of_queue(
    key: str, metric: str, queue: str
) -> scaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty:
    return _query(key, "AWS/SQS", metric, {"QueueName": queue})


def _of_service(
    key: str, here: dict[str, str]
) -> scaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty:
    names = {"ClusterName": here["cluster"], "ServiceName": here["service"]}
    return _query(key, "ECS/ContainerInsights", "RunningTaskCount", names)


def _query(
    key: str, namespace: str, metric: str, dimensions: dict[str, str]
) -> scaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty:
    return METRIC.TargetTrackingMetricDataQueryProperty(
        id=key,
        return_data=False,
        metric_stat=METRIC.TargetTrackingMetricStatProperty(
            stat="Average",
            metric=METRIC.TargetTrackingMetricProperty(
                namespace=namespace,
                metric_name=metric,
                dimensions=[
                    METRIC.TargetTrackingMetricDimensionProperty(name=name, value=value)
                    for name, value in dimensions.items()
                ],
            ),
        ),
    )
