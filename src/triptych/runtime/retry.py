"""How long to wait before a retry, and what to do with a message whose handling failed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from triptych.errors import BadInput, Postponed

BACKOFF_BASE_S = 2.0
BACKOFF_CAP_S = 300.0
RETRY_AFTER_CAP_S = 3600.0
"""The longest Retry-After of a server that is respected."""
ASKED_JITTER_S = 0.25
"""Added to what a server asks for, at most: the host throttle spreads the requests anyway."""


class Action(Enum):
    """What to do with the message."""

    RETRY = auto()
    """Back to its queue, visible again after the delay."""
    PUT_OFF = auto()
    """Visible again after the delay: nothing was tried, so the receive does not count."""
    DEAD_LETTER = auto()
    """To the dead-letter queue: no delivery will ever succeed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision and its delay in seconds."""

    action: Action
    delay_s: float = 0.0


def plan_retry(
    error: Exception, attempt: int, *, uniform: Callable[[float, float], float] = random.uniform
) -> Plan:
    """Decide about ``error`` after the ``attempt``-th attempt, counted from 1.

    Invalid input stays invalid: it becomes a dead letter. Everything else is retried, after an
    exponential backoff with full jitter (https://aws.amazon.com/blogs/architecture/
    exponential-backoff-and-jitter/), or after what the server asked for plus `ASKED_JITTER_S`.
    A message that never succeeds becomes a dead letter by the queue's count of receives.
    """
    if isinstance(error, BadInput):
        return Plan(Action.DEAD_LETTER)
    asked: float | None = getattr(error, "retry_after_s", None)
    if asked is not None:
        bounded = min(max(asked, 0.0), RETRY_AFTER_CAP_S)
        action = Action.PUT_OFF if isinstance(error, Postponed) else Action.RETRY
        return Plan(action, bounded + uniform(0, ASKED_JITTER_S))
    return Plan(Action.RETRY, backoff(attempt, uniform=uniform))


def backoff(
    attempt: int,
    *,
    base_s: float = BACKOFF_BASE_S,
    cap_s: float = BACKOFF_CAP_S,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float:
    """Return the seconds to wait after the ``attempt``-th failure: between 0 and `longest_delay`.

    Full jitter: callers that failed at the same moment do not all retry at the same moment.
    """
    return uniform(0, longest_delay(attempt, base_s=base_s, cap_s=cap_s))


def longest_delay(attempt: int, *, base_s: float, cap_s: float) -> float:
    """Return ``base_s`` · 2^(attempt-1), at most ``cap_s``; attempts are counted from 1."""
    return min(cap_s, base_s * 2.0 ** min(attempt - 1, 32))
