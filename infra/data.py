"""What outlives processes: the database, the objects, the queues."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_rds as rds
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra import telemetry
from infra.profiles import Choices, Profile
from infra.retention import days

DATABASE = "triptych"
ADMIN = "triptych_admin"
ROLE = "triptych"
"""Whom services connect as, by IAM token; `triptych migrate` makes it."""
PORT = 5432
MAX_RECEIVES = 20
"""Well above an item's attempts: receives also count drains and throttles (design of retries)."""
RETENTION = Duration.days(14)
EXPORTS_DAYS = 30
SEALING_KEY_CHARS = 64
GROWTH = 10
"""Times its first storage, up to which the database grows by itself."""
ACCESS_LOGS_DAYS = 90
QUEUES = ("brand-gather-queue", "url-process-queue", "brand-ai-phase-queue")
DEAD = "-dlq"
ACQUIRE_PREFETCH = 256
"""URL messages that one worker holds at a time: `triptych.settings.settings`."""


@dataclass(frozen=True)
class Pair:
    """A queue and where its undeliverable messages end."""

    queue: sqs.Queue
    dead: sqs.Queue


class Data(Construct):
    """The database, the bucket and the queues, private and encrypted."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        choices: Choices,
        vpc: ec2.IVpc,
        *,
        hidden_s: dict[str, int],
    ) -> None:
        """``hidden_s`` is each queue's visibility timeout in seconds."""
        super().__init__(scope, name)
        profile = choices.profile
        self._version_days = Duration.days(profile.version_days)
        self._policy = RemovalPolicy.RETAIN if profile.keep else RemovalPolicy.DESTROY
        self.prefix = choices.prefix
        self._source = choices.source
        self._resource = choices.database_resource
        self._telemetry = telemetry.environment(choices, Stack.of(self))
        self._window = ACQUIRE_PREFETCH * profile.tasks["acquire"][1]
        self.database = self._database(profile, vpc)
        self.sealing_key = self._sealing_key()
        self.log_bucket = self._log_bucket()
        self.bucket = self._bucket()
        self.queues = {each: self._queue(each, hidden_s[each]) for each in QUEUES}

    def _database(self, profile: Profile, vpc: ec2.IVpc) -> rds.DatabaseInstance:
        engine = rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_18_3)
        parameters = rds.ParameterGroup(
            self,
            "Parameters",
            engine=engine,
            parameters={
                "rds.force_ssl": "1",
                # A client that hangs with a run's row locked must let go of it some time.
                "idle_in_transaction_session_timeout": "600000",
            },
        )
        return rds.DatabaseInstance(
            self,
            "Database",
            engine=engine,
            parameter_group=parameters,
            instance_type=ec2.InstanceType(profile.database_class),
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            database_name=DATABASE,
            credentials=rds.Credentials.from_generated_secret(ADMIN),
            iam_authentication=True,
            multi_az=profile.keep,
            storage_type=rds.StorageType.GP3,
            storage_encrypted=True,
            allocated_storage=profile.database_gib,
            max_allocated_storage=GROWTH * profile.database_gib,
            backup_retention=Duration.days(profile.backup_days),
            deletion_protection=profile.keep,
            delete_automated_backups=not profile.keep,
            auto_minor_version_upgrade=True,
            copy_tags_to_snapshot=True,
            enable_performance_insights=True,
            monitoring_interval=Duration.seconds(60),
            cloudwatch_logs_exports=["postgresql"],
            cloudwatch_logs_retention=days(profile.log_days),
            removal_policy=RemovalPolicy.SNAPSHOT if profile.keep else RemovalPolicy.DESTROY,
        )

    def _sealing_key(self) -> secretsmanager.Secret:
        return secretsmanager.Secret(
            self,
            "SealingKey",
            description="Seals secrets in the database. Without it they are lost.",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=SEALING_KEY_CHARS, exclude_punctuation=True
            ),
            removal_policy=self._policy,
        )

    def _log_bucket(self) -> s3.Bucket:
        return s3.Bucket(
            self,
            "AccessLogs",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(expiration=Duration.days(ACCESS_LOGS_DAYS)),
                self._forget_versions(),
            ],
            removal_policy=self._policy,
        )

    def _bucket(self) -> s3.Bucket:
        return s3.Bucket(
            self,
            "Objects",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=self._policy,
            server_access_logs_bucket=self.log_bucket,
            server_access_logs_prefix="objects/",
            # What the collector deletes can be brought back for as long as rows that name it.
            versioned=True,
            # Objects themselves are let go of by the collector, which knows who uses them.
            lifecycle_rules=[
                self._forget_versions(),
                s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(7)),
                s3.LifecycleRule(prefix="exports/", expiration=Duration.days(EXPORTS_DAYS)),
            ],
        )

    def _forget_versions(self) -> s3.LifecycleRule:
        return s3.LifecycleRule(
            noncurrent_version_expiration=self._version_days,
            # Of an object whose versions are all gone.
            expired_object_delete_marker=True,
        )

    def _queue(self, name: str, hidden_s: int) -> Pair:
        dead = sqs.Queue(
            self,
            f"{name}{DEAD}",
            queue_name=f"{self.prefix}{name}{DEAD}",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=RETENTION,
            visibility_timeout=Duration.seconds(hidden_s),
            removal_policy=self._policy,
        )
        queue = sqs.Queue(
            self,
            name,
            queue_name=f"{self.prefix}{name}",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=RETENTION,
            visibility_timeout=Duration.seconds(hidden_s),
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead, max_receive_count=MAX_RECEIVES),
            removal_policy=self._policy,
        )
        return Pair(queue, dead)

    @property
    def every_queue(self) -> list[sqs.Queue]:
        """Return all six."""
        return [each for pair in self.queues.values() for each in (pair.queue, pair.dead)]

    def allow_connect(self, grantee: iam.IGrantable) -> None:
        """Allow to connect to the database as `ROLE`, by token, and open what is sealed."""
        if self._resource:
            # CloudFormation knows only the id of the instance that it made.
            user = Stack.of(self).format_arn(
                service="rds-db",
                resource="dbuser",
                resource_name=f"{self._resource}/{ROLE}",
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            )
            grantee.grant_principal.add_to_principal_policy(
                iam.PolicyStatement(actions=["rds-db:connect"], resources=[user])
            )
        else:
            self.database.grant_connect(grantee, ROLE)
        self.sealing_key.grant_read(grantee)

    def environment(self) -> dict[str, str]:
        """Return the settings that lead to all of it."""
        host = self.database.db_instance_endpoint_address
        region = Stack.of(self).region
        return {
            # A brand alone keeps every worker busy. Fair queues see to it that none waits for it.
            "TRIPTYCH_DISPATCH_WINDOW": str(self._window),
            **self._telemetry,
            **({"TRIPTYCH_SOURCE": self._source} if self._source else {}),
            "TRIPTYCH_DATABASE_URL": f"postgresql+iam://{ROLE}@{host}:{PORT}/{DATABASE}"
            "?sslmode=verify-full&sslrootcert=/etc/ssl/rds.pem",
            "TRIPTYCH_SEALING_KEY": self.sealing_key.secret_arn,
            "TRIPTYCH_QUEUE_URL": f"sqs://{region}/{self.prefix}",
            "TRIPTYCH_STORE_URL": f"s3://{self.bucket.bucket_name}",
        }
