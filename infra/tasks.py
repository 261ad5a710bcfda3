"""Task definitions: one image, no root, nothing writable but a tmpfs, least privilege each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ecr_assets as assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra import telemetry
from infra.data import Data
from infra.profiles import Profile
from infra.retention import days

ROOT = Path(__file__).resolve().parents[1]
USER = "10001"
TMP_MIB = 512
STOP_S = 110
"""ECS gives 120 at most; a worker drains in TRIPTYCH_DRAIN_S and one last receive."""
DRAIN_S = 90
MIGRATION_MIN = 30
"""Minutes that a service waits for its schema. That is longer than a migration waits for its locks;
one that is cut leaves no trace, and the next task goes on with it."""


def image(scope: Construct, target: str, *, gpu: bool = False) -> assets.DockerImageAsset:
    """Return one of the Dockerfile's images, built and pushed by `cdk deploy`.

    ``gpu``: it has CUDA and is for x86-64; the others are for ARM.
    """
    return assets.DockerImageAsset(
        scope,
        f"Image-{target}-gpu" if gpu else f"Image-{target}",
        directory=str(ROOT),
        file="Dockerfile",
        target=target,
        platform=assets.Platform.LINUX_AMD64 if gpu else assets.Platform.LINUX_ARM64,
        build_args={"PACKAGES": "gpu"} if gpu else None,
    )


@dataclass(frozen=True)
class Work:
    """What a task runs, and what it takes."""

    name: str
    command: Sequence[str]
    cpu: int
    memory_mib: int
    port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, ecs.Secret] = field(default_factory=dict)
    bridged: bool = False
    """It uses its host's address, and has no network interface and no security group of its own."""
    migrates: bool = False
    """It starts when the schema is that of its image: a container before it sees to that."""
    gpus: int = 0
    """GPUs of its host that it has for itself."""


class Task(Construct):
    """A task definition with a role and a log group of its own."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        work: Work,
        *,
        profile: Profile,
        data: Data,
        built: assets.DockerImageAsset,
    ) -> None:
        super().__init__(scope, name)
        self.logs = logs.LogGroup(
            self,
            "Logs",
            retention=days(profile.log_days),
            removal_policy=RemovalPolicy.RETAIN if profile.keep else RemovalPolicy.DESTROY,
        )
        self.definition = ecs.Ec2TaskDefinition(
            self,
            "Definition",
            network_mode=ecs.NetworkMode.BRIDGE if work.bridged else ecs.NetworkMode.AWS_VPC,
        )
        self._data, self._built = data, built
        container = self._container(
            work,
            port_mappings=[ecs.PortMapping(container_port=work.port)] if work.port else None,
            health_check=_health(work.port) if work.port else None,
        )
        if work.migrates:
            before = self._container(
                # Long migrations are left to the task that `make deploy` runs after the release.
                Work("migrate", ["migrate", "--skip-long"], 128, 512),
                essential=False,
                start_timeout=Duration.minutes(MIGRATION_MIN),
            )
            container.add_container_dependencies(
                ecs.ContainerDependency(
                    container=before, condition=ecs.ContainerDependencyCondition.SUCCESS
                )
            )
        data.allow_connect(self.definition.task_role)
        telemetry.allow_traces(self.definition.task_role, data.environment())

    def _container(self, work: Work, **more: Any) -> ecs.ContainerDefinition:
        limits = ecs.LinuxParameters(self, f"Limits-{work.name}", init_process_enabled=True)
        limits.add_tmpfs(
            ecs.Tmpfs(
                container_path="/tmp", size=TMP_MIB, mount_options=[ecs.TmpfsMountOption.NOEXEC]
            )
        )
        limits.drop_capabilities(ecs.Capability.ALL)
        return self.definition.add_container(
            work.name,
            image=ecs.ContainerImage.from_docker_image_asset(self._built),
            command=list(work.command),
            cpu=work.cpu,
            memory_limit_mib=work.memory_mib,
            gpu_count=work.gpus or None,
            user=USER,
            readonly_root_filesystem=True,
            docker_security_options=["no-new-privileges"],
            linux_parameters=limits,
            stop_timeout=Duration.seconds(STOP_S),
            environment={
                **self._data.environment(),
                "TRIPTYCH_DRAIN_S": str(DRAIN_S),
                **work.environment,
            },
            secrets=dict(work.secrets),
            logging=ecs.LogDriver.aws_logs(stream_prefix=work.name, log_group=self.logs),
            **more,
        )

    @property
    def role(self) -> iam.IRole:
        """Return the role of what runs in it."""
        return self.definition.task_role


def _health(port: int) -> ecs.HealthCheck:
    ask = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}/healthz', timeout=3)"
    return ecs.HealthCheck(
        command=["CMD", "python", "-c", ask],
        interval=Duration.seconds(10),
        timeout=Duration.seconds(5),
        retries=3,
        start_period=Duration.seconds(60),
    )
