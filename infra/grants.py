"""Who may do what: each role gets what its process does, on what it does it to."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_iam as iam

from infra.data import Data

LOOK = ("sqs:GetQueueUrl", "sqs:GetQueueAttributes")
SEND = (*LOOK, "sqs:SendMessage")
CONSUME = (*LOOK, "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
CONTENT = "sha256/*"
THUMBNAILS = "thumbnails/*"
EXPORTS = "exports/*"
UPLOADS = "uploads/*"
PROBE = "sha256/probe/8ec31a3424344df2094900a173917f0f3491249670bba91d2e58026c30903e1f"
"""`triptych.objects.PROBE_KEY`: each process that opens the store writes it, to see that it can."""
ROOM = "sha256/probe/room"
"""`triptych.objects.ROOM_KEY`: written and deleted, to see whether the store takes a body."""


def may_look(role: iam.IGrantable, data: Data) -> None:
    """Allow to see how deep the queues are, and how old their oldest messages."""
    _allow(role, LOOK, [queue.queue_arn for queue in data.every_queue])
    # Metrics have no resources of their own to name.
    _allow(role, ("cloudwatch:GetMetricData",), ["*"])


def may_send(role: iam.IGrantable, data: Data) -> None:
    """Allow to send to every queue: runs are opened, retried and redriven."""
    _allow(role, SEND, [queue.queue_arn for queue in data.every_queue])


def may_consume(role: iam.IGrantable, data: Data, names: Sequence[str]) -> None:
    """Allow to consume some queues, and the dead letters of all."""
    pairs = data.queues
    arns = [pairs[name].queue.queue_arn for name in names]
    arns += [pair.dead.queue_arn for pair in pairs.values()]
    _allow(role, CONSUME, arns)


def may_serve_objects(role: iam.IGrantable, data: Data) -> None:
    """Allow what the API does: it serves objects, makes thumbnails, and takes uploads.

    Thumbnails and uploads it may take back.
    """
    _allow(role, ("s3:GetObject",), _keys(data, (CONTENT, THUMBNAILS, EXPORTS, UPLOADS)))
    _allow(role, ("s3:PutObject",), _keys(data, (PROBE, THUMBNAILS, UPLOADS)))
    _allow(role, ("s3:DeleteObject",), _keys(data, (THUMBNAILS, UPLOADS)))
    _allow(role, ("s3:AbortMultipartUpload",), _keys(data, (UPLOADS,)))
    _may_list(role, data)


def may_use_objects(role: iam.IGrantable, data: Data, phase: str) -> None:
    """Allow what the messages of a phase take.

    Gather looks and reads uploads, acquire stores, ai reads and exports.

    No phase deletes objects; that is the collector's.
    """
    _allow(role, ("s3:GetObject",), _keys(data, (CONTENT,)))
    if phase == "acquire":
        _allow(role, ("s3:PutObject",), _keys(data, (CONTENT,)))
        _allow(role, ("s3:DeleteObject",), _keys(data, (ROOM,)))
    elif phase == "ai":
        _allow(role, ("s3:PutObject",), _keys(data, (PROBE, EXPORTS)))
        _allow(role, ("s3:AbortMultipartUpload",), _keys(data, (EXPORTS,)))
    else:
        _allow(role, ("s3:GetObject",), _keys(data, (UPLOADS,)))
        _allow(role, ("s3:PutObject",), _keys(data, (PROBE,)))
    _may_list(role, data)


def may_collect_objects(role: iam.IGrantable, data: Data) -> None:
    """Allow what the collector does: it lets go of objects, and of what was made of them."""
    _allow(role, ("s3:GetObject", "s3:PutObject"), _keys(data, (PROBE,)))
    _allow(role, ("s3:DeleteObject",), _keys(data, (CONTENT, THUMBNAILS, EXPORTS, UPLOADS)))
    _may_list(role, data)


def may_repair_objects(role: iam.IGrantable, data: Data) -> None:
    """Allow what `triptych verify --repair` does: it reads all, earlier versions too, and puts.

    It deletes damaged thumbnails. No role deletes versions: these expire.
    """
    _allow(role, ("s3:GetObject", "s3:PutObject"), _keys(data, (CONTENT,)))
    _allow(role, ("s3:GetObjectVersion",), _keys(data, (CONTENT,)))
    _allow(role, ("s3:GetObject", "s3:DeleteObject"), _keys(data, (THUMBNAILS,)))
    _allow(role, ("s3:ListBucketVersions",), [data.bucket.bucket_arn])
    _may_list(role, data)


def may_read_lists(role: iam.IGrantable, lists: Sequence[tuple[str, str]]) -> None:
    """Allow to read the lists of some buckets, each with its prefix, and nothing else of them."""
    for bucket, prefix in lists:
        arn = f"arn:{Aws.PARTITION}:s3:::{bucket}"
        keys = [f"{arn}/{prefix}", f"{arn}/{prefix}/*"] if prefix else [f"{arn}/*"]
        _allow(role, ("s3:GetObject",), keys)


def _may_list(role: iam.IGrantable, data: Data) -> None:
    # Without it, S3 answers 403 instead of 404 for what is not there.
    _allow(role, ("s3:ListBucket",), [data.bucket.bucket_arn])


def _keys(data: Data, patterns: Sequence[str]) -> list[str]:
    return [data.bucket.arn_for_objects(pattern) for pattern in patterns]


def _allow(role: iam.IGrantable, actions: Sequence[str], resources: Sequence[str]) -> None:
    role.grant_principal.add_to_principal_policy(
        iam.PolicyStatement(actions=list(actions), resources=list(resources))
    )
