"""The ECS cluster and what its tasks run on: Graviton, and Spot where a kill costs nothing.

Hosts with a GPU are x86-64, because ONNX Runtime publishes its CUDA package for no other Linux.
"""

from __future__ import annotations

from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.network import outbound

STEADY = ("m8g.large", "m7g.large", "m6g.large")
LARGE = ("r8g.large", "r7g.large", "r6g.large")
"""For the AI phase, which takes most of a host's memory and is not to be cut off half-way."""
SPOT = (
    *("m8g.xlarge", "m7g.xlarge", "m6g.xlarge", "m8gd.xlarge", "m7gd.xlarge", "m6gd.xlarge"),
    *("r8g.xlarge", "r7g.xlarge", "r6g.xlarge", "r8gd.xlarge", "r7gd.xlarge", "r6gd.xlarge"),
)
"""Many, so that Spot has some of them left; each holds as many tasks as another."""
GPU = ("g6.xlarge", "g5.xlarge", "g4dn.xlarge")
"""With one NVIDIA L4, A10G or T4; four vCPUs and 16 GiB each."""
SPOT_BASE = 1
"""Hosts on demand before there is any on Spot: work goes on where Spot has none."""
STEADY_MAX = 20
"""Twice what the most tasks take: a release starts the new ones beside the old ones."""
LARGE_MAX = 6
SPOT_MAX = 22
GPU_MAX = 4
DISK_GIB = 50
GPU_DISK_GIB = 100
"""AWS' image with NVIDIA's driver is larger, and so is ours with CUDA."""
MEMORY_SHARE = 0.93
"""Of a host's memory is offered to tasks: 7,985 MiB were registered of 8 GiB, and the ECS agent's
own reserve is taken from it (Amazon ECS, Container instance memory management)."""


class Cluster(Construct):
    """A cluster with three capacity providers: ``steady`` and ``large`` on demand, and ``spot``.

    Workers acknowledge last, so what Spot takes away is delivered again. ``public``: the hosts of
    ``spot`` are in the public subnets, with addresses of their own, and their tasks use these.
    ``gpu``: there is a fourth, ``gpu``, which is as ``spot`` and has hosts with a GPU each.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        vpc: ec2.IVpc,
        *,
        public: bool = False,
        gpu: bool = False,
    ) -> None:
        super().__init__(scope, name)
        self.bridged = {"spot", "gpu"} if public else frozenset[str]()
        """Providers whose tasks have no network interface of their own, but their host's."""
        self.hosts: dict[str, ec2.Connections] = {}
        self.cluster = ecs.Cluster(
            self, "Ecs", vpc=vpc, container_insights_v2=ecs.ContainerInsights.ENABLED
        )
        self.steady = self._provider("Steady", vpc, STEADY_MAX, list(STEADY), spot=False)
        self.large = self._provider("Large", vpc, LARGE_MAX, list(LARGE), spot=False)
        self.spot = self._provider("Spot", vpc, SPOT_MAX, list(SPOT), spot=True)
        self.providers = {"steady": self.steady, "large": self.large, "spot": self.spot}
        if gpu:
            self.providers["gpu"] = self._provider(
                "Gpu", vpc, GPU_MAX, list(GPU), spot=True, gpu=True
            )

    def _provider(
        self,
        name: str,
        vpc: ec2.IVpc,
        most: int,
        types: list[str],
        *,
        spot: bool,
        gpu: bool = False,
    ) -> ecs.AsgCapacityProvider:
        role = iam.Role(self, f"{name}Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        public = name.lower() in self.bridged
        group = outbound(self, f"{name}Hosts", vpc)
        start = ec2.UserData.for_linux()
        # Tasks get nothing of the metadata, and so of the host's role: the hop limit holds back
        # those behind the host's bridge, and this those with network interfaces of their own.
        start.add_commands("echo ECS_AWSVPC_BLOCK_IMDS=true >> /etc/ecs/ecs.config")
        if gpu:
            start.add_commands("echo ECS_ENABLE_GPU_SUPPORT=true >> /etc/ecs/ecs.config")
        template = ec2.LaunchTemplate(
            self,
            f"{name}Template",
            instance_type=ec2.InstanceType(types[0]),
            machine_image=ecs.EcsOptimizedImage.amazon_linux2023(
                ecs.AmiHardwareType.GPU if gpu else ecs.AmiHardwareType.ARM
            ),
            role=role,
            security_group=group,
            associate_public_ip_address=True if public else None,
            user_data=start,
            require_imdsv2=True,
            http_put_response_hop_limit=1,
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(
                        GPU_DISK_GIB if gpu else DISK_GIB,
                        encrypted=True,
                        volume_type=ec2.EbsDeviceVolumeType.GP3,
                    ),
                )
            ],
        )
        policy = autoscaling.MixedInstancesPolicy(
            launch_template=template,
            launch_template_overrides=[
                autoscaling.LaunchTemplateOverrides(instance_type=ec2.InstanceType(each))
                for each in types
            ],
            instances_distribution=autoscaling.InstancesDistribution(
                on_demand_base_capacity=SPOT_BASE if spot else None,
                on_demand_percentage_above_base_capacity=0 if spot else 100,
                spot_allocation_strategy=(
                    autoscaling.SpotAllocationStrategy.PRICE_CAPACITY_OPTIMIZED if spot else None
                ),
            ),
        )
        hosts = autoscaling.AutoScalingGroup(
            self,
            f"{name}Group",
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(
                subnet_type=(
                    ec2.SubnetType.PUBLIC if public else ec2.SubnetType.PRIVATE_WITH_EGRESS
                )
            ),
            mixed_instances_policy=policy,
            min_capacity=0,
            max_capacity=most,
            capacity_rebalance=spot,
            group_metrics=[autoscaling.GroupMetrics.all()],
        )
        provider = ecs.AsgCapacityProvider(
            self,
            name,
            auto_scaling_group=hosts,
            enable_managed_scaling=True,
            enable_managed_draining=True,
            enable_managed_termination_protection=False,
            spot_instance_draining=spot,
        )
        self.cluster.add_asg_capacity_provider(provider)
        self.hosts[name.lower()] = group.connections
        return provider
