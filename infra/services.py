"""The two services behind the load balancer, and the task that migrates."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr_assets as assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_secretsmanager as secrets
from constructs import Construct

from infra import grants
from infra.cluster import Cluster
from infra.data import ADMIN, DATABASE, PORT, Data
from infra.network import outbound
from infra.profiles import Choices
from infra.reads import Reads
from infra.sign_in import SignIn
from infra.tasks import Task, Work

API_PORT = 8321
LIVE_PORT = 8701
CPU_TARGET = 60
DECODER_POOLS = 2
DECODER_MIB = 1536
"""Of the one decoder that each pool has: `triptych.wiring.server_decoders`."""
SERVER_MIB = 1024
API_MIB = SERVER_MIB + DECODER_POOLS * DECODER_MIB
"""The API ends no request because its decoders are full of what somebody sent."""
DIRECT = {
    "TRIPTYCH_DIRECT_THUMBNAILS": "true",
    # The bucket is an origin of its own: pages allow pictures from no other bucket.
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
}
"""Browsers read thumbnails from the bucket itself; the API decides who is given their URLs."""
VERIFY_MIB = 2048
"""It reads eight objects at a time, each up to the largest body that is fetched."""
FIRST_KEY = "FIRST_KEY"
"""Environment variable with the first operator's token, for `triptych keys create --from-env`."""
TOKEN_CHARS = 48
"""At least as many as `triptych.access.identity.TOKEN_MIN_CHARS`."""


class Services(Construct):
    """``api`` and ``live``, each scaled by itself, and ``migrate``."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        choices: Choices,
        cluster: Cluster,
        data: Data,
        built: assets.DockerImageAsset,
        *,
        reads: Reads,
        signer: str,
    ) -> None:
        """``signer`` is the ARN of the balancer, which vouches for users whom it has signed in."""
        super().__init__(scope, name)
        self._cluster = cluster
        self.scaling: dict[str, ecs.ScalableTaskCount] = {}
        """How many tasks each service has, by its name: more than its CPU may decide."""
        profile = choices.profile
        web = {
            "TRIPTYCH_API_HOST": "0.0.0.0",  # noqa: S104 - its security group lets in the balancer alone
            "TRIPTYCH_ALLOWED_HOSTS": choices.domain,
            **_trusted(choices.sign_in, signer),
        }
        # It has to know what may be named; only gather and acquire may read it.
        named = {"TRIPTYCH_SOURCE_BUCKETS": choices.listed_buckets}
        named = named if choices.source_buckets else {}
        api_web = {**web, **DIRECT, **named, **reads.settings}
        shared = {"profile": profile, "data": data, "built": built}
        api = Task(
            self,
            "Api",
            Work(
                *("api", ["api", "--json"], 1024, API_MIB, API_PORT, api_web, reads.secrets()),
                migrates=True,
            ),
            **shared,
        )
        grants.may_look(api.role, data)
        grants.may_send(api.role, data)
        grants.may_serve_objects(api.role, data)
        live = Task(
            self,
            "Live",
            Work("live", ["live", "--json"], 512, 1024, LIVE_PORT, web),
            **shared,
        )
        grants.may_look(live.role, data)
        self.api = self._service("ApiService", api, profile.tasks["api"], idle=choices.idle)
        self.live = self._service("LiveService", live, profile.tasks["live"], idle=choices.idle)
        # CloudFormation waits for the API to be steady, and so for the schema.
        self.live.node.add_dependency(self.api)
        self.first_key = secrets.Secret(
            self,
            "FirstKey",
            description="The token of the first operator's key.",
            generate_secret_string=secrets.SecretStringGenerator(
                password_length=TOKEN_CHARS, exclude_punctuation=True
            ),
        )
        self.migrate = self._migrate(shared, data, reads)
        self.verify = self._verify(shared, data)
        for service in (self.api, self.live):
            service.connections.allow_to(data.database, ec2.Port.tcp(PORT))
        # The task that migrates is of this group, too.
        reads.reached_by(self.api.connections)

    def _migrate(self, shared: dict[str, object], data: Data, reads: Reads) -> Task:
        """Run once, by hand or by `make deploy`: makes the services' role, then the schema as it.

        The first operator's key is made there, too: its token is in Secrets Manager and in no log.
        Later the API's tasks migrate: this task's definition is of the code that is deployed.
        Operators run `triptych doctor` and `triptych reads` in it, so it knows where reads are.
        """
        secret = data.database.secret
        assert secret is not None
        host = data.database.db_instance_endpoint_address
        admin = (
            f"postgresql://{ADMIN}@{host}:{PORT}/{DATABASE}"
            "?sslmode=verify-full&sslrootcert=/etc/ssl/rds.pem"
        )
        work = Work(
            "migrate",
            ["migrate"],
            256,
            512,
            environment={"TRIPTYCH_ADMIN_URL": admin, **reads.settings},
            secrets={
                "PGPASSWORD": ecs.Secret.from_secrets_manager(secret, "password"),
                FIRST_KEY: ecs.Secret.from_secrets_manager(self.first_key),
                **reads.secrets(),
            },
        )
        task = Task(self, "Migrate", work, **shared)  # type: ignore[arg-type]
        grants.may_look(task.role, data)
        return task

    def _verify(self, shared: dict[str, object], data: Data) -> Task:
        """Run by hand: checks all objects, and after a restore of the database repairs them."""
        work = Work("verify", ["verify", "--json"], 1024, VERIFY_MIB)
        task = Task(self, "Verify", work, **shared)  # type: ignore[arg-type]
        grants.may_look(task.role, data)
        grants.may_repair_objects(task.role, data)
        return task

    def _service(
        self, name: str, task: Task, tasks: tuple[int, int], *, idle: bool
    ) -> ecs.Ec2Service:
        least, most = (0, 1) if idle else tasks
        service = ecs.Ec2Service(
            self,
            name,
            cluster=self._cluster.cluster,
            task_definition=task.definition,
            security_groups=[outbound(self, f"{name}Group", self._cluster.cluster.vpc)],
            # Given once, when nothing runs yet. Later the scaling has the count: its least is met
            # at once, and a release under load takes no task away.
            desired_count=0 if idle else None,
            min_healthy_percent=100,
            max_healthy_percent=200,
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.ENABLED,
            capacity_provider_strategies=[
                ecs.CapacityProviderStrategy(
                    capacity_provider=self._cluster.steady.capacity_provider_name, weight=1
                )
            ],
            placement_strategies=[
                ecs.PlacementStrategy.spread_across("attribute:ecs.availability-zone")
            ],
            health_check_grace_period=Duration.seconds(60),
        )
        scaling = service.auto_scale_task_count(min_capacity=least, max_capacity=most)
        self.scaling[name] = scaling
        scaling.scale_on_cpu_utilization(
            "Cpu",
            target_utilization_percent=CPU_TARGET,
            scale_in_cooldown=Duration.minutes(5),
            scale_out_cooldown=Duration.minutes(1),
        )
        return service


def _trusted(provider: SignIn | None, signer: str) -> dict[str, str]:
    """Return the settings by which a server trusts the balancer's word for a user."""
    if provider is None:
        return {}
    return {
        "TRIPTYCH_OIDC_SIGNER": signer,
        "TRIPTYCH_OIDC_ISSUER": provider.issuer,
        "TRIPTYCH_OIDC_CLIENT": provider.client,
        "TRIPTYCH_OIDC_OPERATORS": ",".join(provider.operators),
    }
