"""Rules of cdk-nag and checkov that do not hold here, each with its reason. Others are errors."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk

PACK = "AwsSolutions::AwsSolutions"
MANAGED = "Policy::arn:<AWS::Partition>:iam::aws:policy/service-role"
SERVICE_POLICY = "AWS' own policy of a service role that CDK makes; it names nothing of ours."
KEYS = "Objects are named by their content: nobody can list them beforehand. The prefix is named."

REASONS = {
    "EC23": "The balancer is what the internet is to reach, on 80 (which redirects) and 443; for "
    "the endpoints the rule cannot read a CIDR that is a token: it is the VPC's.",
    "EC26": "The launch template encrypts the disks; the rule looks at the group.",
    "AS3": "Tasks, not hosts, are watched: ECS replaces hosts as it needs them.",
    "ECS2": "Settings, none of them secret: secrets come from Secrets Manager.",
    "RDS11": "A port that nobody guesses protects nothing: it is in isolated subnets, behind TLS.",
    "S1": "The logs' own bucket; logging its reads into itself would never end.",
    "SMG4": "The administrator's password is used by `triptych migrate` alone; services connect by "
    "IAM token. Rotate it by hand where a policy asks for it, the sealing key as the guide says. "
    "The first key ends after a year: `triptych keys create` makes another. DocumentDB's password "
    "opens a copy of what Postgres has; tasks take it when they start, so a release follows.",
    f"IAM4[{MANAGED}/AmazonRDSEnhancedMonitoringRole]": SERVICE_POLICY,
    f"IAM4[{MANAGED}/AWSLambdaBasicExecutionRole]": SERVICE_POLICY,
    f"IAM4[{MANAGED}/AWSLambdaVPCAccessExecutionRole]": SERVICE_POLICY,
    "IAM5[Resource::*]": "Metrics, ECR's login, X-Ray and the ECS agent's registration have no "
    "resources that could be named.",
    "IAM5[Action::ecs:Submit*]": "What the ECS agent on a host tells its cluster.",
}
FOR_TRYING = {
    "RDS3": "A place to try things does without a second zone.",
    "RDS10": "A place to try things is deleted with its stack.",
}
FOR_DOCUMENTDB = {
    "DOC2": REASONS["RDS11"],
    "DOC3": "Its password is made and kept by Secrets Manager; the rule cannot read the reference.",
    **{
        f"DOC5[LogExport::{event}]": "The log `audit` is exported, which has these events in it; "
        "CloudFormation takes no export of the rule's names."
        for event in ("authenticate", "createIndex", "dropCollection")
    },
}
FOR_TRYING_DOCUMENTDB = {
    "DOC4": "A place to try things has backups of a day; Postgres has what is lost.",
}
OWN_KEY = (
    "Encrypted with AWS' own keys; a key of one's own is a cost and a policy of the account's."
)
CHECKOV = {
    "CKV_AWS_18": "The logs' own bucket; logging its reads into itself would never end.",
    "CKV_AWS_26": "Alarms cannot publish to a topic with AWS' own key; they name metrics, no data.",
    "CKV_AWS_27": "SSE-SQS is on, which the rule does not know.",
    "CKV_AWS_111": "CDK's log retention and the ECS agent's registration have nothing to name.",
    "CKV_AWS_115": "Event source mappings cap concurrency; what is reserved is taken from others.",
    "CKV_AWS_116": "Queues have dead-letter queues; the next sweep makes up for one that failed.",
    "CKV_AWS_117": "Functions of CDK's, which change a log group and a security group.",
    "CKV_AWS_149": OWN_KEY,
    "CKV_AWS_158": OWN_KEY,
    "CKV_AWS_173": "Settings, none of them secret.",
    "CKV_AWS_260": "Port 80 redirects to 443.",
}
"""The reviewed baseline: exactly what checkov finds."""
CHECKOV_FOR_TRYING = {"CKV_AWS_157": FOR_TRYING["RDS3"]}
CHECKOV_FOR_PUBLIC = {
    "CKV_AWS_88": "With `egress=public` hosts of workers have an address, and nothing that lets a "
    "connection in: ADR 39."
}
CHECKOV_FOR_TRYING_DOCUMENTDB = {"CKV_AWS_360": FOR_TRYING_DOCUMENTDB["DOC4"]}
PREFIXES = ("sha256", "thumbnails", "exports", "uploads")


LISTS = "Lists have whatever names their owners give them. The bucket and the prefix are named."


def acknowledge(
    stack: cdk.Stack,
    bucket: str,
    *,
    keep: bool,
    lists: Sequence[tuple[str, str]],
    documentdb: bool,
) -> None:
    """Acknowledge findings.

    Args:
        stack: which has them.
        bucket: the logical id of the objects' bucket.
        keep: whether it is one to rely on.
        lists: the buckets of lists, each with its prefix.
        documentdb: whether it has a cluster of DocumentDB.
    """
    reasons = dict(REASONS)
    if not keep:
        reasons |= FOR_TRYING
    if documentdb:
        reasons |= FOR_DOCUMENTDB if keep else {**FOR_DOCUMENTDB, **FOR_TRYING_DOCUMENTDB}
    for prefix in PREFIXES:
        reasons[f"IAM5[Resource::<{bucket}.Arn>/{prefix}/*]"] = KEYS
    for name, prefix in lists:
        below = f"{name}/{prefix}" if prefix else name
        reasons[f"IAM5[Resource::arn:<AWS::Partition>:s3:::{below}/*]"] = LISTS
    cdk.Validations.of(stack).acknowledge(
        *(
            cdk.Acknowledgment(id=f"{PACK}-{rule}", reason=reason)
            for rule, reason in reasons.items()
        )
    )
