"""Where immediate reads are answered from besides Postgres: DocumentDB, or a MongoDB elsewhere.

Postgres stays the system of record: what is here was copied from it, is rebuilt from it, and where
this does not answer, Postgres does.
"""

from __future__ import annotations

import string

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_docdb as docdb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.network import is_dual_stack
from infra.profiles import DOCUMENTDB, EXTERNAL, Choices, Profile
from infra.retention import days

DATABASE = "triptych"
USER = "triptych"
"""DocumentDB takes letters and digits only."""
PORT = 27017
EXTERNAL_PORTS = (27015, 27017)
"""The first and the last port at which a MongoDB elsewhere is reached: those of Atlas."""
CA = "/etc/ssl/rds.pem"
"""In the image: Amazon's bundle, which DocumentDB's certificates are of, as RDS' are."""
FAMILY, VERSION = "docdb5.0", "5.0.0"
PARAMETERS = {"tls": "enabled", "audit_logs": "enabled"}
OPTIONS = {
    "tls": "true",
    "replicaSet": "rs0",
    # An answer is of several reads: of the brand's document, then of its assets. A replica is
    # behind the primary, by less or more, and would give some of them as of another moment. Where
    # there is no primary for a while, Postgres answers.
    "readPreference": "primary",
    # DocumentDB has no retryable writes, and refuses a client that asks for them.
    "retryWrites": "false",
}
"""Of the address, in which MongoDB's names of options are as MongoDB writes them."""
URL, ACCOUNT, PASSWORD = "TRIPTYCH_READS_URL", "TRIPTYCH_READS_USER", "TRIPTYCH_READS_PASSWORD"
CA_SETTING = "TRIPTYCH_READS_CA"
KEPT = "SECRET_"
"""What begins the name of a variable that says to a function where a setting is kept:
`triptych.aws_lambda.secret_settings`."""
UNRESERVED = "-._~"
"""Of punctuation, what addresses have as it is (RFC 3986). Secrets Manager wants some in each
password, and makes none if all of it is excluded."""
UNSAFE = "".join(each for each in string.punctuation if each not in UNRESERVED)
"""A password without these is the same in an address, in a shell and in JSON."""


class Reads(Construct):
    """The way to the database of immediate reads, for those who are given it, and for no others.

    Without one (`Choices.reads` is empty) it is made of nothing and gives nothing.
    """

    def __init__(self, scope: Construct, name: str, choices: Choices, vpc: ec2.IVpc) -> None:
        super().__init__(scope, name)
        self._vpc = vpc
        self.cluster: docdb.DatabaseCluster | None = None
        self._secret: secretsmanager.ISecret | None = None
        self._fields: dict[str, str | None] = {}
        self.settings: dict[str, str] = {}
        """Settings that are no secrets."""
        if choices.reads == DOCUMENTDB:
            self.cluster = self._documentdb(choices.profile)
            self._secret = self.cluster.secret
            self._fields = {ACCOUNT: "username", PASSWORD: "password"}
            self.settings = {URL: _address(self.cluster), CA_SETTING: CA}
        elif choices.reads == EXTERNAL:
            self._secret = secretsmanager.Secret.from_secret_complete_arn(
                self, "Url", choices.reads_secret
            )
            self._fields = {URL: None}

    def _documentdb(self, profile: Profile) -> docdb.DatabaseCluster:
        """Make a cluster that outlives its stack, and is kept and deleted, as the database is."""
        policy = RemovalPolicy.SNAPSHOT if profile.keep else RemovalPolicy.DESTROY
        return docdb.DatabaseCluster(
            self,
            "DocumentDb",
            engine_version=VERSION,
            parameter_group=docdb.ClusterParameterGroup(
                self, "Parameters", family=FAMILY, parameters=PARAMETERS
            ),
            master_user=docdb.Login(username=USER, exclude_characters=UNSAFE),
            instance_type=ec2.InstanceType(profile.documentdb_class),
            instances=profile.documentdb_instances,
            vpc=self._vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            # It answers, and connects to nothing.
            security_group=ec2.SecurityGroup(
                self, "Group", vpc=self._vpc, allow_all_outbound=False
            ),
            port=PORT,
            ca_certificate=docdb.CaCertificate.RDS_CA_RSA2048_G1,
            storage_encrypted=True,
            backup=docdb.BackupProps(retention=Duration.days(profile.backup_days)),
            copy_tags_to_snapshot=True,
            deletion_protection=profile.keep,
            export_audit_logs_to_cloud_watch=True,
            cloud_watch_logs_retention=days(profile.log_days),
            removal_policy=policy,
        )

    def secrets(self) -> dict[str, ecs.Secret]:
        """Return by their names the settings that ECS takes from Secrets Manager for a task."""
        if self._secret is None:
            return {}
        return {
            name: ecs.Secret.from_secrets_manager(self._secret, field)
            for name, field in self._fields.items()
        }

    def function_settings(self) -> dict[str, str]:
        """Return a function's variables: its settings, and where those are that are secret.

        Lambda itself has no secrets: what is in a function's variables, all read who may see the
        function. The function has to be allowed to fetch: `may_fetch`.
        """
        if self._secret is None:
            return {}
        arn = self._secret.secret_arn
        kept = {
            f"{KEPT}{name}": arn if field is None else f"{arn}:{field}::"
            for name, field in self._fields.items()
        }
        return {**self.settings, **kept}

    def may_fetch(self, grantee: iam.IGrantable) -> None:
        """Allow to fetch what `function_settings` names, and no other secret."""
        if self._secret is not None:
            self._secret.grant_read(grantee)

    def reached_by(self, members: ec2.Connections) -> None:
        """Let connections from a security group in, or out to a MongoDB elsewhere."""
        if self.cluster is not None:
            members.allow_to(self.cluster, ec2.Port.tcp(PORT), "DocumentDB")
        elif self._secret is not None:
            peers = [ec2.Peer.any_ipv4()]
            if is_dual_stack(self._vpc):
                peers.append(ec2.Peer.any_ipv6())
            for peer in peers:
                members.allow_to(peer, ec2.Port.tcp_range(*EXTERNAL_PORTS), "MongoDB")


def _address(cluster: docdb.DatabaseCluster) -> str:
    host = cluster.cluster_endpoint.hostname
    options = "&".join(f"{name}={value}" for name, value in OPTIONS.items())
    return f"mongodb://{host}:{PORT}/{DATABASE}?{options}"
