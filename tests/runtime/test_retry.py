"""The retry decision is pure, bounded and jittered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.errors import (
    InvalidMessage,
    SourceUnavailable,
    TransientItemError,
)
from triptych.model import Reason
from triptych.runtime.retry import (
    BACKOFF_CAP_S,
    RETRY_AFTER_CAP_S,
    Action,
    backoff,
    plan_retry,
)


def longest(_low: float, high: float) -> float:
    return high


def test_wrong_input_is_a_dead_letter() -> None:
    plan = plan_retry(InvalidMessage(field="url"), 1)
    assert plan.action is Action.DEAD_LETTER


@pytest.mark.parametrize(
    ("attempt", "bound"), [(1, 2.0), (2, 4.0), (5, 32.0), (9, 300.0), (10_000, 300.0)]
)
def test_backoff_doubles_up_to_its_cap(attempt: int, bound: float) -> None:
    plan = plan_retry(ValueError("?"), attempt, uniform=longest)
    assert (plan.action, plan.delay_s) == (Action.RETRY, bound)


@given(st.integers(1, 10_000))
def test_backoff_is_jittered_over_its_whole_range(attempt: int) -> None:
    assert 0 <= backoff(attempt) <= BACKOFF_CAP_S
    assert backoff(attempt, uniform=lambda low, _high: low) == 0


@pytest.mark.parametrize(
    "error",
    [
        TransientItemError(Reason.THROTTLED, retry_after_s=30),
        SourceUnavailable(retry_after_s=30),
    ],
)
def test_what_the_server_asked_for_is_waited_for(error: Exception) -> None:
    assert plan_retry(error, 1, uniform=lambda low, _high: low).delay_s == 30
    assert plan_retry(error, 1, uniform=longest).delay_s == 30.25


def test_an_absurd_retry_after_is_bounded() -> None:
    error = TransientItemError(Reason.THROTTLED, retry_after_s=1e9)
    assert plan_retry(error, 1, uniform=lambda low, _high: low).delay_s == RETRY_AFTER_CAP_S
