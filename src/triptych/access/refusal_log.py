"""Refused requests, counted by reason and logged: who tries keys must not go unseen.

OWASP's ASVS 5.0 (V16) asks for failed authentication and authorisation in the log. It is sampled,
since clients that are refused decide how often they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from triptych.errors import (
    Forbidden,
    HostRefused,
    OriginRefused,
    TooManyRequests,
    TriptychError,
    Unauthenticated,
)
from triptych.telemetry.metrics import REFUSED_REQUESTS

REASONS = (Unauthenticated, Forbidden, HostRefused, OriginRefused, TooManyRequests)
EVERY_S = 1.0
"""One line a second for each reason; the next one says how many were left out."""

log = structlog.get_logger(__name__)


class RefusalLog:
    """Counts and logs refusals. A token is never logged."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def note(self, error: TriptychError, scope: Mapping[str, Any], identity: str | None) -> None:
        """Note that a request was refused; any other error is no refusal and is ignored.

        Args:
            error: what the client was answered.
            scope: the request's ASGI scope.
            identity: who is asking, if that is known.
        """
        if not isinstance(error, REASONS):
            return
        reason, now = error.problem(), self._clock()
        REFUSED_REQUESTS.labels(reason).inc()
        if now < self._next.get(reason, 0.0):
            self._left_out[reason] = self._left_out.get(reason, 0) + 1
            return
        self._next[reason] = now + EVERY_S
        client = scope.get("client")
        log.warning(
            "request_refused",
            reason=reason,
            identity=identity,
            client=client[0] if client else None,
            method=scope.get("method", scope["type"]),
            # Without its query, which may hold anything.
            path=scope["path"],
            left_out=self._left_out.pop(reason, 0),
        )
