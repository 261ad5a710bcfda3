"""How metrics and traces leave the processes: without a collector beside them.

Metrics are lines of the log that CloudWatch reads (`triptych.telemetry.cloudwatch_metrics`). Traces
go to CloudWatch's own endpoint, signed with the role of the task.
"""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_iam as iam

from infra.profiles import Choices

TRACE_SHARE = 0.05
"""Of the runs. A run has a span for each of its URLs, and spans are paid for by the gigabyte."""


def environment(choices: Choices, stack: Stack) -> dict[str, str]:
    """Return the settings; the namespace of a stack's metrics is its name."""
    found = {"TRIPTYCH_EMF_NAMESPACE": stack.stack_name}
    if choices.traces:
        found["TRIPTYCH_OTLP_ENDPOINT"] = f"https://xray.{choices.region}.amazonaws.com/v1/traces"
        found["TRIPTYCH_TRACE_SHARE"] = str(TRACE_SHARE)
    return found


def allow_traces(role: iam.IGrantable, environment: dict[str, str]) -> None:
    """Allow to send traces, if they are sent; they have no resource that could be named."""
    if "TRIPTYCH_OTLP_ENDPOINT" in environment:
        role.grant_principal.add_to_principal_policy(
            iam.PolicyStatement(actions=["xray:PutTraceSegments"], resources=["*"])
        )
