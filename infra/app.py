"""Synthesises the stack: ``cdk synth -c profile=prod -c certificate=arn:… -c domain=… …``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra.acknowledged import acknowledge
from infra.profiles import Choices
from infra.stack import TriptychStack

CONTEXT = (
    "profile",
    "workers",
    "certificate",
    "domain",
    "email",
    "region",
    "idle",
    "source_token",
    "source_token_for",
    "source_buckets",
    "source",
    "prefix",
    "database_resource",
    "traces",
)


def build(
    context: Mapping[str, Any], *, outdir: str | None = None
) -> tuple[cdk.App, TriptychStack]:
    """Return the app and its stack, checked by cdk-nag at synthesis.

    Raises:
        ValueError: naming what the context lacks.
    """
    app = cdk.App(outdir=outdir, context=dict(context))
    choices = Choices.read({name: app.node.try_get_context(name) for name in CONTEXT})
    env = cdk.Environment(account=os.environ.get("CDK_DEFAULT_ACCOUNT"), region=choices.region)
    stack = TriptychStack(app, f"Triptych-{choices.profile.name}", choices, env=env)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks())
    resource = stack.data.bucket.node.default_child
    assert isinstance(resource, cdk.CfnElement)
    acknowledge(
        stack,
        stack.get_logical_id(resource),
        keep=choices.profile.keep,
        lists=choices.source_buckets,
    )
    return app, stack


if __name__ == "__main__":
    # `cdk` hands its -c on by itself.
    build({})[0].synth()
