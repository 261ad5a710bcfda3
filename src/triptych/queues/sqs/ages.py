"""The age of each queue's oldest message, from CloudWatch, a minute or two late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from triptych.queues.sqs.sqs_client import FAILURES, AwsClient, error_code

METRIC = "ApproximateAgeOfOldestMessage"
PERIOD_S = 60
LOOK_BACK_S = 300
"""The newest data point within this many seconds is used; an idle queue has none."""
KEEP_S = 60.0
"""CloudWatch has one data point per minute, and charges for each request."""
AWAY_S = 600.0
"""Pause after a failed request: the role may not be allowed to read metrics at all."""

log = structlog.get_logger(__name__)


class Ages:
    """Reads the ages of queues named ``prefix`` + name, once a minute at most."""

    def __init__(self, region: str | None, prefix: str) -> None:
        self._client = AwsClient("cloudwatch", region)
        self._prefix = prefix
        self._known: dict[str, float] = {}
        self._until = 0.0
        self._reading = asyncio.Lock()

    async def read(self, queues: Sequence[str]) -> Mapping[str, float]:
        """Return seconds by queue, if known. Never fails: ages are optional."""
        async with self._reading:
            if time.monotonic() < self._until:
                return self._known
            try:
                answer = await self._client.call("get_metric_data", **self._request(queues))
            except FAILURES as error:
                log.warning("queue_ages_unknown", error=str(error), code=error_code(error))
                self._known, keep_s = {}, AWAY_S
            else:
                self._known, keep_s = _newest(queues, answer["MetricDataResults"]), KEEP_S
            self._until = time.monotonic() + keep_s
            return self._known

    def _request(self, queues: Sequence[str]) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {
            "StartTime": now - timedelta(seconds=LOOK_BACK_S),
            "EndTime": now + timedelta(seconds=PERIOD_S),
            "ScanBy": "TimestampDescending",
            "MetricDataQueries": [
                {
                    "Id": f"q{number}",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": "AWS/SQS",
                            "MetricName": METRIC,
                            "Dimensions": [{"Name": "QueueName", "Value": self._prefix + queue}],
                        },
                        "Period": PERIOD_S,
                        "Stat": "Maximum",
                    },
                }
                for number, queue in enumerate(queues)
            ],
        }

    async def close(self) -> None:
        """Close its connections. Safe to repeat."""
        await self._client.close()


def _newest(queues: Sequence[str], results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found = {}
    for result in results:
        if result["Values"]:
            found[queues[int(result["Id"][1:])]] = float(result["Values"][0])
    return found
