"""Rules of cdk-nag that do not hold here, each with its reason. Any other finding is an error."""

from __future__ import annotations

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
    "IAM token. Rotate it by hand where a policy asks for it.",
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
PREFIXES = ("sha256", "thumbnails", "exports")


def acknowledge(stack: cdk.Stack, bucket: str, *, keep: bool) -> None:
    """Acknowledge findings; ``bucket`` is the logical id of the objects' bucket."""
    reasons = REASONS if keep else {**REASONS, **FOR_TRYING}
    reasons = dict(reasons)
    for prefix in PREFIXES:
        reasons[f"IAM5[Resource::<{bucket}.Arn>/{prefix}/*]"] = KEYS
    cdk.Validations.of(stack).acknowledge(
        *(
            cdk.Acknowledgment(id=f"{PACK}-{rule}", reason=reason)
            for rule, reason in reasons.items()
        )
    )
