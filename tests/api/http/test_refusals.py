"""Every kind of refusal, over HTTP and WebSocket, is counted by its reason and logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.api_server import HOST, Api, bearer, serving_with_keys
from triptych.access.refusal_log import REASONS
from triptych.live.limits import Limits
from triptych.telemetry.metrics import REFUSED_REQUESTS
from triptych.wiring import web_server

pytestmark = pytest.mark.integration

EVIL = {"Origin": "https://evil.example"}
BURST = 50


def counts() -> dict[str, float]:
    return {
        each.problem(): REFUSED_REQUESTS.labels(each.problem())._value.get() for each in REASONS
    }


async def ask(api: Api, headers: dict[str, str], path: str = "/brands") -> int:
    return (await api.get(path, headers=headers)).status


async def listen(api: Api, headers: dict[str, str], path: str = "/ws") -> int:
    at = f"{api.url.replace('http', 'ws', 1)}{path}"
    given = {name: value for name, value in headers.items() if name not in {"Host", "Origin"}}
    options: dict[str, Any] = {"origin": headers.get("Origin")}
    if "Host" in headers:
        at, options = at.replace("127.0.0.1", headers["Host"]), {
            **options, "host": "127.0.0.1", "port": int(api.url.rpartition(":")[2])
        }  # fmt: skip
    try:
        async with connect(at, proxy=None, additional_headers=given, **options):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.mark.parametrize("way", [ask, listen])
async def test_each_reason_is_counted_and_logged(
    migrated_dsn: str, tmp_path: Path, way: Any
) -> None:
    async with serving_with_keys(
        migrated_dsn, tmp_path, allowed_hosts=(HOST,), api_rate=0.001, api_burst=BURST
    ) as (api, tokens):
        mine = {**bearer(tokens["reader"]), "Host": HOST}
        cases = [
            ({"Host": HOST}, 401, "unauthenticated"),
            ({**bearer(tokens["revoked"]), "Host": HOST}, 401, "unauthenticated"),
            ({**mine, **EVIL}, 403, "origin-refused"),
            ({**mine, "Host": "evil.example"}, 421, "host-refused"),
        ]
        logged = set[str]()
        for headers, status, reason in cases:
            before = counts()
            with capture_logs() as logs:
                assert await way(api, headers) == status
            assert counts() == {**before, reason: before[reason] + 1}
            logged |= {line["reason"] for line in logs if line["event"] == "request_refused"}
        assert logged == {reason for _, _, reason in cases}
        if way is ask:
            before = counts()
            assert await ask(api, mine, "/audit") == 403
            assert await ask(api, mine, "/settings") == 403
            assert counts() == {**before, "forbidden": before["forbidden"] + 2}
        before, found = counts(), [await way(api, mine) for _ in range(BURST + 2)]
        refused = found.count(429)
        assert refused >= 2
        assert counts() == {**before, "too-many-requests": before["too-many-requests"] + refused}


async def test_a_share_of_sockets_that_is_used_up_is_counted(
    migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        web_server, "Limits", lambda **given: Limits(**{**given, "clients_each": 0})
    )
    async with serving_with_keys(migrated_dsn, tmp_path, allowed_hosts=(HOST,)) as (api, tokens):
        before = counts()
        with capture_logs() as logs:
            assert await listen(api, {**bearer(tokens["reader"]), "Host": HOST}) == 429
        assert counts() == {**before, "too-many-requests": before["too-many-requests"] + 1}
        (line,) = [each for each in logs if each["event"] == "request_refused"]
        assert (line["reason"], line["identity"]) == ("too-many-requests", "key:reader")
        assert tokens["reader"] not in str(logs)
