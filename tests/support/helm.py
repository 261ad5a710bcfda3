"""Rendering the chart with Helm itself, and what KEDA takes of it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "triptych"
ENVIRONMENT = ROOT / ".venv-chart"
HELM = ENVIRONMENT / "bin" / "helm"
HELM_S = 60.0

Document = dict[str, Any]

LEAST: dict[str, Any] = {
    "image": {"repository": "registry.example/triptych"},
    "database": {"existingSecret": "the-database"},
    "sealing": {"existingSecret": "the-sealing-key"},
    "firstKey": {"existingSecret": "the-first-key"},
    "store": {"url": "s3://triptych-objects"},
}
"""What has to be given."""


def helm(*words: str, values: Document | None = None) -> subprocess.CompletedProcess[str]:
    """Run Helm on the chart with values, which are read as one file."""
    given = [] if values is None else ["--values", "-"]
    return subprocess.run(
        [str(HELM), *words, *given],
        input=None if values is None else yaml.safe_dump(values),
        capture_output=True,
        text=True,
        timeout=HELM_S,
        check=False,
    )


def merged(below: Document, above: Document) -> Document:
    """Return values as Helm merges them: objects by key, all else as a whole."""
    both = dict(below)
    for name, value in above.items():
        mine = both.get(name)
        both[name] = (
            merged(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
        )
    return both


def render(values: Document | None = None, *, chart: Path = CHART) -> list[Document]:
    """Render the chart with the least that has to be given, and these values over it."""
    words = ("template", "triptych", str(chart), "--namespace", "media")
    done = helm(*words, values=merged(LEAST, values or {}))
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(documents: list[Document], kind: str) -> dict[str, Document]:
    """Return the documents of a kind by their names."""
    found = [document for document in documents if document["kind"] == kind]
    named = {document["metadata"]["name"]: document for document in found}
    assert len(named) == len(found), f"two {kind} have one name"
    return named


TEXT = {"type": "string"}
METADATA = {"type": "object", "required": ["name"]}
NAMED = {
    "type": "object",
    "properties": {"name": TEXT},
    "required": ["name"],
    "additionalProperties": False,
}


def _keda(kind: str, spec: Document) -> Document:
    return {
        "type": "object",
        "properties": {
            "apiVersion": {"const": "keda.sh/v1alpha1"},
            "kind": {"const": kind},
            "metadata": METADATA,
            "spec": {"type": "object", "additionalProperties": False, **spec},
        },
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
    }


def _metadata(*required: str, optional: tuple[str, ...] = ()) -> Document:
    return {
        "type": "object",
        "properties": dict.fromkeys((*required, *optional), TEXT),
        "required": list(required),
        "additionalProperties": False,
    }


TRIGGER = {
    "type": "object",
    "properties": {
        "type": {"enum": ["postgresql", "aws-sqs-queue"]},
        "metadata": {"type": "object"},
        "authenticationRef": NAMED,
    },
    "required": ["type", "metadata"],
    "additionalProperties": False,
    "if": {"properties": {"type": {"const": "postgresql"}}},
    "then": {"properties": {"metadata": _metadata("query", "targetQueryValue")}},
    "else": {
        "properties": {
            "metadata": _metadata(
                *("queueURL", "queueLength", "awsRegion"),
                optional=("scaleOnInFlight", "scaleOnDelayed", "identityOwner"),
            )
        }
    },
}
"""Of the documentation of KEDA's scalers: all metadata are strings."""
KEDA_SCHEMAS = {
    "ScaledObject": _keda(
        "ScaledObject",
        {
            "properties": {
                "scaleTargetRef": NAMED,
                "minReplicaCount": {"type": "integer", "minimum": 0},
                "maxReplicaCount": {"type": "integer", "minimum": 1},
                "pollingInterval": {"type": "integer"},
                "cooldownPeriod": {"type": "integer"},
                "advanced": {"type": "object"},
                "triggers": {"type": "array", "items": TRIGGER, "minItems": 1},
            },
            "required": ["scaleTargetRef", "triggers"],
        },
    ),
    "TriggerAuthentication": _keda(
        "TriggerAuthentication",
        {
            "properties": {
                "secretTargetRef": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"parameter": TEXT, "name": TEXT, "key": TEXT},
                        "required": ["parameter", "name", "key"],
                        "additionalProperties": False,
                    },
                },
                "podIdentity": {
                    "type": "object",
                    "properties": {"provider": {"const": "aws"}, "identityOwner": TEXT},
                    "required": ["provider"],
                    "additionalProperties": False,
                },
            },
            "minProperties": 1,
            "maxProperties": 1,
        },
    ),
}
"""What the chart uses of ``keda.sh/v1alpha1``, and nothing else: a misspelt name is found."""


def pods(documents: list[Document]) -> dict[str, Document]:
    """The specifications of all pods, by the component that their labels name."""
    owners = [each for each in documents if each["kind"] in {"Deployment", "Job"}]
    templates = [owner["spec"]["template"] for owner in owners]
    return {
        template["metadata"]["labels"]["app.kubernetes.io/component"]: template["spec"]
        for template in templates
    }


def containers(pod: Document) -> list[Document]:
    """All of a pod, those first that begin it."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def environment(container: Document) -> dict[str, Any]:
    """A container's variables, each as its value or as where it is kept."""
    named = {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}
    assert len(named) == len(container["env"]), "a variable is given twice"
    return named
