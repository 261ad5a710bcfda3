"""Turns at a host while the worker itself has no place left."""

from __future__ import annotations

import asyncio

import pytest

from triptych.errors import HostBusy
from triptych.fetch import host_throttle as hosts
from triptych.fetch.host_throttle import HostThrottle

PATIENCE_S = 30.0


async def test_a_turn_is_waited_for_while_the_worker_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hosts, "WAIT_MAX_S", 0.01)
    asked = asyncio.Event()
    looks = 0

    def crowded() -> bool:
        nonlocal looks
        looks += 1
        if looks == 3:
            asked.set()
        return True

    host = HostThrottle(concurrency=1, rate_per_s=None)
    first = await host.slot("a.example")
    waiting = asyncio.create_task(host.slot("a.example", crowded=crowded))
    # It has outlasted the longest wait more than once.
    await asyncio.wait_for(asked.wait(), PATIENCE_S)
    assert not waiting.done()
    first.release()
    (await asyncio.wait_for(waiting, PATIENCE_S)).release()


async def test_a_turn_is_put_off_when_the_worker_has_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hosts, "WAIT_MAX_S", 0.01)
    host = HostThrottle(concurrency=1, rate_per_s=None)
    await host.slot("a.example")
    with pytest.raises(HostBusy):
        await asyncio.wait_for(host.slot("a.example"), PATIENCE_S)


async def test_a_host_that_rests_is_not_waited_for_even_then() -> None:
    host = HostThrottle(concurrency=1, rate_per_s=None)
    host.throttled("a.example", 60.0)
    with pytest.raises(HostBusy):
        await asyncio.wait_for(host.slot("a.example", crowded=lambda: True), PATIENCE_S)
