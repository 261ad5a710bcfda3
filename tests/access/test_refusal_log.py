"""Refusals in the log and in the metrics: each counted, one line a second, no token."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from triptych.access.refusal_log import EVERY_S, RefusalLog
from triptych.errors import (
    Forbidden,
    HostRefused,
    NotFound,
    OriginRefused,
    TooManyRequests,
    TriptychError,
    Unauthenticated,
)
from triptych.telemetry.metrics import REFUSED_REQUESTS

TOKEN = "trk_secret"
SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "GET",
    "path": "/api/v1/brands",
    "query_string": TOKEN.encode(),
    "client": ("192.0.2.1", 4711),
    "headers": [(b"authorization", f"Bearer {TOKEN}".encode())],
}


def counted(reason: str) -> float:
    return float(REFUSED_REQUESTS.labels(reason)._value.get())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unauthenticated(), "unauthenticated"),
        (Forbidden(), "forbidden"),
        (HostRefused(), "host-refused"),
        (OriginRefused(), "origin-refused"),
        (TooManyRequests(retry_after_s=1), "too-many-requests"),
    ],
)
def test_every_refusal_is_counted_and_the_log_says_whose(error: TriptychError, reason: str) -> None:
    before = counted(reason)
    with capture_logs() as logs:
        RefusalLog().note(error, SCOPE, "key:ci")
    assert counted(reason) == before + 1
    (line,) = logs
    assert (line["event"], line["reason"], line["identity"]) == (
        "request_refused",
        reason,
        "key:ci",
    )
    assert (line["client"], line["path"]) == ("192.0.2.1", "/api/v1/brands")
    assert TOKEN not in str(line)


def test_a_flood_is_counted_and_one_line_a_second_says_so() -> None:
    now = 0.0
    refusals, before = RefusalLog(lambda: now), counted("unauthenticated")
    with capture_logs() as logs:
        for _ in range(1000):
            refusals.note(Unauthenticated(), SCOPE, None)
        refusals.note(HostRefused(), SCOPE, None)
        now = EVERY_S
        refusals.note(Unauthenticated(), SCOPE, None)
    assert counted("unauthenticated") == before + 1001
    assert [(line["reason"], line["left_out"]) for line in logs] == [
        ("unauthenticated", 0),
        ("host-refused", 0),
        ("unauthenticated", 999),
    ]


def test_other_errors_are_no_refusals() -> None:
    with capture_logs() as logs:
        RefusalLog().note(NotFound(), SCOPE, None)
    assert logs == []
