"""A token bucket lets a burst through, then its rate, and counts nothing that it refused."""

from __future__ import annotations

import pytest

from triptych.runtime.token_bucket import TokenBucket


def test_a_burst_passes_and_then_the_rate_does() -> None:
    now = 100.0
    bucket = TokenBucket(2, 3, clock=lambda: now)
    assert [bucket.take() for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    now += 0.25
    assert bucket.take() == pytest.approx(0.25)
    now += 0.25
    assert bucket.take() == 0


def test_it_holds_no_more_than_its_burst() -> None:
    now = 0.0
    bucket = TokenBucket(10, 2, clock=lambda: now)
    now += 1e6
    assert [bucket.take() == 0 for _ in range(3)] == [True, True, False]
