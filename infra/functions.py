"""Lambda: the scheduled sweeper always, and the phases where `workers=lambda` chooses so."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy, Size
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as assets
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as functions
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra import grants
from infra.data import PORT, Data
from infra.network import is_dual_stack, outbound
from infra.profiles import Choices, Profile
from infra.reads import Reads
from infra.retention import days
from infra.sizes import BATCH, SHAPES, SWEEP_MIB, SWEEP_TIMEOUT_S, Shape

WINDOW_S = 1
CONNECTIONS = 2
COMMIT_CONNECTIONS = 2
"""What a process opens beside them: `triptych.wiring.stores.COMMIT_CONNECTIONS`."""
SWEEP_EVERY = Duration.minutes(1)


class Functions(Construct):
    """The functions, in the VPC, each with a role, a log group and a cap of its own."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        choices: Choices,
        vpc: ec2.IVpc,
        data: Data,
        built: assets.DockerImageAsset,
        *,
        reads: Reads,
    ) -> None:
        super().__init__(scope, name)
        self._profile: Profile = choices.profile
        self._choices = choices
        self._vpc, self._data, self._built = vpc, data, built
        self.made: dict[str, functions.DockerImageFunction] = {}
        self.logs: dict[str, logs.LogGroup] = {}
        sweep = self._function("sweep", SWEEP_TIMEOUT_S, SWEEP_MIB)
        grants.may_send(sweep, data)
        grants.may_collect_objects(sweep, data)
        # It alone of the functions copies what is committed to where reads are answered from.
        for setting, value in reads.function_settings().items():
            sweep.add_environment(setting, value)
        reads.may_fetch(sweep)
        reads.reached_by(sweep.connections)
        events.Rule(
            self,
            "Minute",
            schedule=events.Schedule.rate(SWEEP_EVERY),
            targets=[targets.LambdaFunction(sweep, retry_attempts=0)],
        )
        if choices.workers == "lambda":
            for shape in SHAPES:
                self._phase(shape)
            self._dead_letters()

    def _phase(self, shape: Shape) -> None:
        function = self._function(shape.phase, shape.timeout_s, shape.memory_mib)
        grants.may_look(function, self._data)
        grants.may_send(function, self._data)
        grants.may_use_objects(function, self._data, shape.phase)
        if shape.phase in grants.READING and self._choices.source_buckets:
            function.add_environment("TRIPTYCH_SOURCE_BUCKETS", self._choices.listed_buckets)
            grants.may_read_sources(
                function, self._choices.source_buckets, lists=shape.phase == "gather"
            )
        function.add_event_source(
            sources.SqsEventSource(
                self._data.queues[shape.queue].queue,
                batch_size=BATCH if shape.phase == "acquire" else 1,
                max_batching_window=Duration.seconds(WINDOW_S if shape.phase == "acquire" else 0),
                report_batch_item_failures=True,
                max_concurrency=shape.concurrency,
            )
        )

    def _dead_letters(self) -> None:
        function = self._function("dead_letters", 60, 1024)
        grants.may_look(function, self._data)
        grants.may_send(function, self._data)
        for pair in self._data.queues.values():
            function.add_event_source(
                sources.SqsEventSource(
                    pair.dead, batch_size=BATCH, report_batch_item_failures=True, max_concurrency=2
                )
            )

    def _function(
        self, name: str, timeout_s: int, memory_mib: int
    ) -> functions.DockerImageFunction:
        plain = name.replace("_", "-")
        self.logs[name] = group = logs.LogGroup(
            self,
            f"{plain}-logs",
            retention=days(self._profile.log_days),
            removal_policy=RemovalPolicy.RETAIN if self._profile.keep else RemovalPolicy.DESTROY,
        )
        function = functions.DockerImageFunction(
            self,
            plain,
            code=functions.DockerImageCode.from_ecr(
                ecr.Repository.from_repository_name(
                    self, f"{plain}-repository", self._built.repository.repository_name
                ),
                tag_or_digest=self._built.image_tag,
                cmd=[f"triptych.aws_lambda.handlers.{name}"],
            ),
            architecture=functions.Architecture.ARM_64,
            timeout=Duration.seconds(timeout_s),
            memory_size=memory_mib,
            ephemeral_storage_size=Size.gibibytes(1),
            vpc=self._vpc,
            security_groups=[outbound(self, f"{name}-group", self._vpc)],
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            ipv6_allowed_for_dual_stack=True if is_dual_stack(self._vpc) else None,
            log_group=group,
            environment={
                **self._data.environment(),
                "TRIPTYCH_DATABASE_CONNECTIONS": str(CONNECTIONS),
            },
        )
        self._data.allow_connect(function)
        function.connections.allow_to(self._data.database, ec2.Port.tcp(PORT))
        self.made[name] = function
        return function
