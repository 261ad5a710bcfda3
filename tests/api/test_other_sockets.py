"""WebSockets on paths where none is: refused at once, without a trace in the log, at a rate."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.api_server import HOST, bearer, serving_with_keys
from triptych.telemetry.metrics import REFUSED_REQUESTS

PATHS = ("/", "/nothing", "/ws/", "/ws/x", "/api/v1/brands", "/api/v1/ws", "/healthz", "/metrics")

pytestmark = pytest.mark.integration


async def status_of(url: str, path: str, headers: dict[str, str]) -> int:
    """Return the status with which a WebSocket is refused; 101 if it is not."""
    at = f"{url.replace('http', 'ws', 1)}{path}"
    try:
        async with connect(at, proxy=None, additional_headers=headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize("keyed", [False, True])
async def test_there_is_nothing_at_other_paths(
    migrated_dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, keyed: bool
) -> None:
    options: dict[str, Any] = {"allowed_hosts": (HOST,)} if keyed else {}
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logs:
        async with serving_with_keys(migrated_dsn, tmp_path, **options) as (api, tokens):
            known = [bearer(tokens["reader"]), bearer(tokens["operator"])]
            for headers in [{}, bearer("trk_wrong"), *known] if keyed else [{}]:
                for path in PATHS:
                    assert await status_of(api.url, path, headers) == 404, path
            assert await status_of(api.url, "/ws", known[0]) == 101
            assert await status_of(api.url, "/ws", {}) == (401 if keyed else 101)
    assert not [line for line in logs if line["log_level"] == "error"]
    assert not [each for each in caplog.records if each.exc_info or each.levelno >= logging.ERROR]


@pytest.mark.parametrize("keyed", [False, True])
async def test_they_have_a_rate_of_their_own(
    migrated_dsn: str, tmp_path: Path, *, keyed: bool
) -> None:
    options: dict[str, Any] = {"allowed_hosts": (HOST,)} if keyed else {}
    before = REFUSED_REQUESTS.labels("too-many-requests")._value.get()
    options |= {"api_rate": 0.01, "api_burst": 3}
    async with serving_with_keys(migrated_dsn, tmp_path, **options) as (api, tokens):
        found = [await status_of(api.url, "/nothing", {}) for _ in range(5)]
        assert found == [404, 404, 404, 429, 429]
        assert await status_of(api.url, "/ws", bearer(tokens["reader"])) == 101
        assert (await api.get("/me", headers=bearer(tokens["reader"]))).status == 200
    assert REFUSED_REQUESTS.labels("too-many-requests")._value.get() == before + 2
