"""How long logs are kept, as CloudWatch counts it."""

from __future__ import annotations

from aws_cdk import aws_logs as logs

_DAYS = {
    14: logs.RetentionDays.TWO_WEEKS,
    90: logs.RetentionDays.THREE_MONTHS,
}


def days(count: int) -> logs.RetentionDays:
    """Return so many days; only what the profiles use."""
    return _DAYS[count]
