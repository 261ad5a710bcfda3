"""Metrics that target tracking computes with: of queues, of a service's tasks, and of our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_ecs as ecs
from constructs import Construct, IDependable

METRIC = scaling.CfnScalingPolicy
Query: TypeAlias = scaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty
RUNNING = "IF(FILL(running, 0) > 1, running, 1)"
"""Tasks that run, and never none: what waits for the first one counts as before one."""


@dataclass(frozen=True)
class Cooldowns:
    """Seconds after which tasks may be added to those that were, or taken from them."""

    out_s: int
    in_s: int


def query(
    key: str,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    *,
    stat: str = "Average",
) -> Query:
    """Return one metric, under the name that the expression has for it."""
    return Query(
        id=key,
        return_data=False,
        metric_stat=METRIC.TargetTrackingMetricStatProperty(
            stat=stat,
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


def track(
    scope: Construct,
    name: str,
    service: ecs.BaseService,
    counted: list[Query],
    expression: str,
    target: float,
    cooldowns: Cooldowns,
    *,
    after: IDependable,
) -> None:
    """Keep ``expression`` for each running task at ``target`` by adding and removing tasks.

    ``after`` registers the service's number of tasks as scalable.
    """
    here = {"ClusterName": service.cluster.cluster_name, "ServiceName": service.service_name}
    scaling.CfnScalingPolicy(
        scope,
        name,
        policy_name=f"{name}-per-task",
        policy_type="TargetTrackingScaling",
        service_namespace="ecs",
        scalable_dimension="ecs:service:DesiredCount",
        resource_id=f"service/{here['ClusterName']}/{here['ServiceName']}",
        target_tracking_scaling_policy_configuration=METRIC.TargetTrackingScalingPolicyConfigurationProperty(
            target_value=target,
            scale_in_cooldown=cooldowns.in_s,
            scale_out_cooldown=cooldowns.out_s,
            customized_metric_specification=METRIC.CustomizedMetricSpecificationProperty(
                metrics=[
                    *counted,
                    query("running", "ECS/ContainerInsights", "RunningTaskCount", here),
                    Query(
                        id="backlog",
                        label=f"{name} for each running task",
                        expression=f"({expression}) / {RUNNING}",
                        return_data=True,
                    ),
                ]
            ),
        ),
    ).node.add_dependency(after)
