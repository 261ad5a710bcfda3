"""An outage of a projection: nobody waits for it twice, and its end is found by a probe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from tests.support.waiting import until_true
from triptych.errors import ReadsUnavailable
from triptych.reads import availability
from triptych.reads.availability import DOWN_S, Availability


class Server:
    """Answers probes, or does not."""

    def __init__(self) -> None:
        self.probes = 0
        self.error: Exception | None = ReadsUnavailable()
        self.hangs = False
        self.now = 100.0

    async def probe(self) -> None:
        self.probes += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    def clock(self) -> float:
        return self.now


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def available(server: Server) -> AsyncIterator[Availability]:
    found = Availability(server.probe, clock=server.clock)
    yield found
    await found.close()


async def settled(available: Availability) -> None:
    """Wait until a probe has ended."""
    await until_true(lambda: available._probing is None, patience_s=5)


async def test_it_is_asked_again_after_a_probe_that_no_request_waits_for(
    server: Server, available: Availability
) -> None:
    assert available.asked()
    with capture_logs() as logs:
        available.failed("it is away")
        available.failed("another request says so, too")
        assert not available.asked()
        server.now += DOWN_S - 0.01
        assert not available.asked()
        assert available._probing is None
        server.now += 0.01
        assert [available.asked() for _ in range(10)] == [False] * 10
        await settled(available)
        assert server.probes == 1
        assert not available.asked()
        server.now += DOWN_S
        server.error = None
        assert not available.asked()
        await settled(available)
        assert available.asked()
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("reads_unavailable", "warning"),
        ("reads_available", "info"),
    ]
    assert logs[0]["why"] == "it is away"
    assert server.probes == 2


async def test_a_probe_that_hangs_ends(
    server: Server, available: Availability, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "PROBE_S", 0.02)
    server.hangs = True
    available.failed("away", pause_s=0)
    assert not available.asked()
    await settled(available)
    assert not available.asked()


async def test_a_defect_in_a_probe_is_said_and_not_taken_for_an_answer(
    server: Server, available: Availability
) -> None:
    server.error = LookupError("a defect")
    available.failed("away", pause_s=0)
    with capture_logs() as logs:
        assert not available.asked()
        await settled(available)
    assert [line["event"] for line in logs] == ["reads_probe_failed"]
    assert not available.asked()


async def test_closing_ends_a_probe(server: Server) -> None:
    found = Availability(server.probe, clock=server.clock)
    server.hangs = True
    found.failed("away", pause_s=0)
    found.asked()
    await until_true(lambda: server.probes == 1, patience_s=5)
    async with asyncio.timeout(5):
        await found.close()
    assert found._probing is None
