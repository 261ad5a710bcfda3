"""Synthesises what the tests look at. cdk-nag checks at synthesis: a finding fails them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Template

from infra import sign_in
from infra.app import build

CONTEXT = {
    "certificate": "arn:aws:acm:eu-central-1:111111111111:certificate/one",
    "domain": "triptych.example",
    "email": "ops@triptych.example",
}
ISSUER = "https://idp.example/realm"
SIGN_IN = {
    "oidc_issuer": ISSUER,
    "oidc_client_id": "triptych-1",
    "oidc_secret": "arn:aws:secretsmanager:eu-central-1:111111111111:secret:idp-AbCdEf",
    "operators": "boss@example.org, sub:chief",
}
ENDPOINTS = {name: f"{ISSUER}/{n}" for n, name in enumerate(sign_in.ENDPOINTS)}

ELSEWHERE = {
    "reads": "external",
    "reads_secret": "arn:aws:secretsmanager:eu-central-1:111111111111:secret:mongodb-AbCdEf",
}
"""A MongoDB that is not of the stack."""


class Synthesised:
    """One template, for assertions and as a file."""

    def __init__(
        self, folder: Path, profile: str, workers: str, context: dict[str, str] = CONTEXT
    ) -> None:
        context = {**context, "profile": profile, "workers": workers}
        app, stack = build(context, outdir=str(folder))
        app.synth()
        self.file = folder / f"{stack.stack_name}.template.json"
        self.json: dict[str, Any] = json.loads(self.file.read_text())
        self.template = Template.from_json(self.json)

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the properties of all resources of a kind."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.json["Resources"].items()
            if resource["Type"] == kind
        }


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return Synthesised(tmp_path_factory.mktemp("prod"), "prod", "ecs")


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    return Synthesised(tmp_path_factory.mktemp("dev"), "dev", "lambda")


@pytest.fixture(scope="session")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    """All that can be chosen beside the defaults, in one template: synthesis takes long."""
    context = {**CONTEXT, **SIGN_IN, **ENDPOINTS, "egress": "public"}
    return Synthesised(tmp_path_factory.mktemp("chosen"), "prod", "ecs", context)


@pytest.fixture(scope="session")
def documentdb(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    folder = tmp_path_factory.mktemp("documentdb")
    return Synthesised(folder, "prod", "ecs", {**CONTEXT, "reads": "documentdb"})


@pytest.fixture(scope="session")
def trying_documentdb(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    folder = tmp_path_factory.mktemp("trying")
    return Synthesised(folder, "dev", "lambda", {**CONTEXT, "reads": "documentdb"})


@pytest.fixture(scope="session")
def external(tmp_path_factory: pytest.TempPathFactory) -> Synthesised:
    """A MongoDB elsewhere, and acquire on GPUs, in one template: synthesis takes long."""
    folder = tmp_path_factory.mktemp("external")
    context = {**CONTEXT, **ELSEWHERE, "egress": "public", "acquire_gpu": "true"}
    return Synthesised(folder, "prod", "ecs", context)
