"""Synthesises the stack: ``cdk synth -c profile=prod -c certificate=arn:… -c domain=… …``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra.acknowledged import acknowledge
from infra.profiles import DOCUMENTDB, Choices
from infra.stack import TriptychStack

PLAIN = re.compile(r"[A-Za-z0-9_.-]+")
"""A context key that a person gives. Those of the CDK have a `:` or a `/` in them."""


def build(
    context: Mapping[str, Any], *, outdir: str | None = None
) -> tuple[cdk.App, TriptychStack]:
    """Return the app and its stack, checked by cdk-nag at synthesis.

    Raises:
        ValueError: naming what the context lacks, or has and nobody knows.
    """
    app = cdk.App(outdir=outdir, context=dict(context))
    given = dict(app.node.get_all_context())
    choices = Choices.read({name: value for name, value in given.items() if PLAIN.fullmatch(name)})
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
        documentdb=choices.reads == DOCUMENTDB,
    )
    return app, stack


if __name__ == "__main__":
    # `cdk` hands its -c on by itself.
    build({})[0].synth()
