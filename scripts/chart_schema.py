"""The schema of the Helm chart's values: what may be set. All else is refused by its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from triptych.settings.settings import Settings

OWN = {
    "data": "the image's /data has the models",
    "database_url": "database.existingSecret",
    "database_connections": "database.connections",
    "sealing_key": "sealing.existingSecret",
    "queue_url": "queue",
    "store_url": "store.url",
    "reads_url": "reads.existingSecret",
    "reads_user": "reads.userSecret",
    "reads_password": "reads.userSecret",
    "reads_certificate": "reads.certificateSecret",
    "drain_s": "drainSeconds",
    "api_host": "pods are reached from outside",
    "api_port": "Services name it",
    "allowed_hosts": "ingress.host",
    "workers": "replicas",
    "postgres_bin": "there is no embedded Postgres",
    "server": "of commands",
    "server_key": "of commands",
}
"""Settings that the chart gives itself, or that mean nothing there; and what is in their place."""

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
GIVEN: Json = {"type": "string", "minLength": 1}
FLAG: Json = {"type": "boolean"}
SCALAR: Json = {"type": ["string", "number", "boolean"]}
SECONDS: Json = {"type": "integer", "minimum": 1}
STRINGS: Json = {"type": "object", "additionalProperties": TEXT}
SECRET_KEY: Json = {"type": "string", "pattern": "^[-._a-zA-Z0-9]+$"}
QUANTITY: Json = {"type": ["string", "number"]}


def _object(
    more: Mapping[str, Json] | None = None, *, required: tuple[str, ...] = (), **named: Json
) -> Json:
    """Return the schema of an object that has these properties and no others."""
    return {
        "type": "object",
        "properties": {**named, **(more or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def _replicas(least: int) -> Json:
    return _object(
        required=("min", "max"),
        min={"type": "integer", "minimum": least},
        max={"type": "integer", "minimum": 1},
    )


def _role(least: int, **more: Json) -> Json:
    amounts = {"type": "object", "additionalProperties": QUANTITY}
    return _object(
        more,
        replicas=_replicas(least),
        resources=_object(requests=amounts, limits=amounts),
        serviceAccount=_object(annotations=STRINGS),
    )


def _settings() -> tuple[Json, Json]:
    """Return the schemas of settings, and of those that are secret."""
    free = {name: field for name, field in Settings.model_fields.items() if name not in OWN}
    secret = {name for name, field in free.items() if "SecretStr" in str(field.annotation)}
    reference = _object(required=("name", "key"), name=GIVEN, key=SECRET_KEY)
    return (
        _object({name: SCALAR for name in free if name not in secret}),
        _object({name: reference for name in free if name in secret}),
    )


def _given() -> Json:
    """Return the schemas of what the chart is given: an image, a database, a store, secrets."""
    secret = _object(required=("existingSecret",), existingSecret=GIVEN, key=SECRET_KEY)
    return {
        "image": _object(
            required=("repository",),
            repository=GIVEN,
            tag=TEXT,
            digest={"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
            pullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
        ),
        "imagePullSecrets": {"type": "array", "items": _object(name=GIVEN)},
        "database": _object(
            required=("existingSecret",),
            existingSecret=GIVEN,
            key=SECRET_KEY,
            adminSecret=TEXT,
            adminKey=SECRET_KEY,
            connections={"type": "integer", "minimum": 1},
        ),
        "sealing": secret,
        "firstKey": secret,
        "reads": _object(
            existingSecret=TEXT,
            key=SECRET_KEY,
            userSecret=TEXT,
            userKey=SECRET_KEY,
            passwordKey=SECRET_KEY,
            caSecret=TEXT,
            caKey=SECRET_KEY,
            certificateSecret=TEXT,
            certificateKey=SECRET_KEY,
        ),
        "store": _object(
            required=("url",),
            url={"type": "string", "pattern": "^(s3|gs|az)://."},
            endpoint={"type": "string", "pattern": "^(https?://.+)?$"},
            allowHttp=FLAG,
        ),
        "aws": _object(
            region=TEXT,
            existingSecret=TEXT,
            accessKeyIdKey=SECRET_KEY,
            secretAccessKeyKey=SECRET_KEY,
        ),
    }


def _queues() -> Json:
    """Return the schemas of the queues, and of how their workers are scaled."""
    queue = _object(
        type={"enum": ["pgmq", "sqs"]},
        sqs=_object(
            region={"type": "string", "pattern": "^[a-z0-9-]*$"},
            prefix={"type": "string", "pattern": "^[A-Za-z0-9_-]{0,50}$"},
        ),
    )
    return {
        "queue": {
            **queue,
            "if": {"properties": {"type": {"const": "sqs"}}},
            "then": {"properties": {"sqs": {"properties": {"region": GIVEN}}}},
        },
        "keda": _object(
            enabled=FLAG,
            pollingSeconds=SECONDS,
            cooldownSeconds=SECONDS,
            databaseSecret=TEXT,
            databaseKey=SECRET_KEY,
            awsIdentity={"enum": ["operator", "workload", "secret"]},
        ),
    }


def _roles() -> Json:
    """Return the schemas of the image's roles."""
    percent = {"type": "integer", "minimum": 1, "maximum": 100}
    worker = _role(0, messagesPerReplica={"type": "integer", "minimum": 1})
    return {
        "api": _role(1, cpuTarget=percent),
        "live": _role(1, cpuTarget=percent),
        "workers": _object(gather=worker, acquire=worker, ai=worker),
        "migrate": _object(
            deadlineSeconds=SECONDS,
            resources=_role(0)["properties"]["resources"],
            serviceAccount=_object(annotations=STRINGS),
        ),
    }


def _network() -> Json:
    """Return the schemas of the ingress and of the network policies."""
    cidrs = {"type": "array", "items": GIVEN}
    ingress = _object(enabled=FLAG, className=TEXT, host=TEXT, tlsSecret=TEXT, annotations=STRINGS)
    return {
        "ingress": {
            **ingress,
            "if": {"properties": {"enabled": {"const": True}}},
            "then": {"properties": {"host": GIVEN}},
        },
        "networkPolicy": _object(
            enabled=FLAG,
            ingressFrom={"type": "array", "items": {"type": "object"}},
            deniedCidrs=cidrs,
            deniedCidrsV6=cidrs,
        ),
    }


def values_schema() -> str:
    """Render ``values.schema.json``."""
    settings, secrets = _settings()
    parts = {
        **_given(),
        **_queues(),
        **_roles(),
        **_network(),
        # Helm's own, of charts that have this one in them.
        "global": {"type": "object"},
    }
    schema = _object(
        parts,
        settings=settings,
        secretSettings=secrets,
        drainSeconds=SECONDS,
        tmpSize=GIVEN,
        podAnnotations=STRINGS,
        nodeSelector=STRINGS,
        tolerations={"type": "array", "items": {"type": "object"}},
    )
    named = {"$schema": "http://json-schema.org/draft-07/schema#", **schema}
    return json.dumps(named, indent=2) + "\n"
