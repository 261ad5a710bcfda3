"""The API and live status behind one gate on one port, as `triptych up` serves them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.support.api_server import (
    HOST,
    Api,
    bearer,
    commit,
    create_keys,
    pictures,
    put_objects,
    serving,
)
from triptych.telemetry.tracing import tracing

PROTOCOL = "triptych.v1"
PATIENCE_S = 20.0


async def frame(socket: aiohttp.ClientWebSocketResponse) -> Any:
    return json.loads(await asyncio.wait_for(socket.receive_str(), PATIENCE_S))


async def status_of(api: Api, headers: dict[str, str], protocols: Sequence[str]) -> int:
    """Open a WebSocket; return 101, or what the server answers instead."""
    try:
        async with api.session.ws_connect(
            f"{api.url}/ws", headers=headers, protocols=protocols
        ) as socket:
            assert (await frame(socket))["type"] == "hello"
            assert socket.protocol in {None, PROTOCOL}, "a key is never echoed"
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


async def test_a_page_reads_once_and_then_listens(migrated_dsn: str, tmp_path: Path) -> None:
    async with serving(migrated_dsn, tmp_path) as api:
        contents = pictures(3)
        await put_objects(api.services.settings, contents)
        await commit(api.stores, "nike", contents)
        listed = (await api.get("/brands")).json["items"]
        async with api.session.ws_connect(f"{api.url}/ws", protocols=[PROTOCOL]) as socket:
            assert (await frame(socket))["type"] == "hello"
            await socket.send_json({"type": "subscribe", "topics": [{"topic": "brands"}]})
            while (told := await frame(socket))["type"] != "state":
                assert told["type"] == "subscribed"
            planned: dict[str, Any] = {"schedule": None, "due_at": None}
            planned |= {"schedule_words": None, "next_runs": [], "covers": listed[0]["covers"]}
            assert {**told["state"], **planned} == listed[0], "one form, whoever tells of it"
            await commit(api.stores, "adidas", contents)
            while told.get("key") != "adidas" or told["state"]["current_run"] is None:
                told = await frame(socket)
            assert told["state"]["assets"] == 3


@pytest.mark.parametrize("keyed_server", [True, False])
async def test_who_may_listen(migrated_dsn: str, tmp_path: Path, *, keyed_server: bool) -> None:
    options: dict[str, Any] = {"allowed_hosts": (HOST,)} if keyed_server else {}
    if keyed_server:
        async with serving(migrated_dsn, tmp_path) as opened:
            tokens = await create_keys(opened)
    else:
        tokens = {"reader": "", "revoked": ""}
    async with serving(migrated_dsn, tmp_path, **options) as api:
        nobody = 401 if keyed_server else 101
        as_protocol = [f"triptych.key.{tokens['reader']}", PROTOCOL]
        cases: list[tuple[str, dict[str, str], list[str], int]] = [
            ("nobody", {}, [PROTOCOL], nobody),
            ("another site's page", {"Origin": "https://evil.example"}, [PROTOCOL], 403),
            ("a page of no site", {"Origin": "null"}, [PROTOCOL], 403),
            ("another host", {"Host": "evil.example"}, [PROTOCOL], 421),
        ]
        if keyed_server:
            cases += [
                ("a reader", bearer(tokens["reader"]), [PROTOCOL], 101),
                ("a reader's page", {}, as_protocol, 101),
                ("a revoked key", bearer(tokens["revoked"]), [PROTOCOL], 401),
                ("a stolen key", {"Origin": "https://evil.example"}, as_protocol, 403),
            ]
        for who, headers, protocols, status in cases:
            assert await status_of(api, headers, protocols) == status, who
        async with api.session.get(f"{api.url}/ws") as plain:
            assert plain.status == (401 if keyed_server else 404), "no WebSocket"


async def test_listeners_are_told_to_come_back_and_requests_finished(
    migrated_dsn: str, tmp_path: Path
) -> None:
    async with serving(migrated_dsn, tmp_path) as api:
        async with api.session.ws_connect(f"{api.url}/ws") as socket:
            assert (await frame(socket))["type"] == "hello"
            api.stop.set()
            closing = await asyncio.wait_for(socket.receive(), PATIENCE_S)
            assert (closing.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 1012)
        await asyncio.wait_for(asyncio.shield(api.serving), PATIENCE_S)


async def test_metrics_tell_of_requests_queues_and_listeners(
    migrated_dsn: str, tmp_path: Path
) -> None:
    async with serving(migrated_dsn, tmp_path) as api:
        await api.registry.open("nike", source="manifest:/nowhere.csv")
        assert (await api.get("/brands/nike")).status == 200
        async with api.session.ws_connect(f"{api.url}/ws") as socket:
            assert (await frame(socket))["type"] == "hello"
            async with api.session.get(f"{api.url}/metrics") as told:
                assert told.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                lines = (await told.text()).splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(values["triptych_live_clients"]) == 1
    assert float(values['triptych_queue_waiting{queue="brand-gather-queue"}']) == 1
    route = 'method="GET",route="/brands/{brand}",status="200"'
    assert float(values[f"triptych_http_request_seconds_count{{{route}}}"]) >= 1
    assert "nike" not in "".join(values), "labels have few values"


async def test_metrics_are_for_readers(migrated_dsn: str, tmp_path: Path) -> None:
    async with serving(migrated_dsn, tmp_path) as opened:
        tokens = await create_keys(opened)
    async with serving(migrated_dsn, tmp_path, allowed_hosts=(HOST,)) as api:
        for headers, status in (({}, 401), (bearer(tokens["reader"]), 200)):
            async with api.session.get(f"{api.url}/metrics", headers=headers) as told:
                assert told.status == status


async def test_a_run_belongs_to_the_trace_of_the_request_that_opened_it(
    migrated_dsn: str, tmp_path: Path
) -> None:
    exporter = InMemorySpanExporter()
    trace = "0af7651916cd43dd8448eb211c80319c"
    with tracing(None, role="api", exporter=exporter):
        async with serving(migrated_dsn, tmp_path) as api:
            headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
            given = {"source": "manifest:/nowhere.csv"}
            reply = await api.post("/brands/nike/runs", json=given, headers=headers)
            run = await api.stores.runs.run(UUID(reply.json["run"]))
    assert run.traceparent is not None
    assert trace in run.traceparent
    spans = [one for one in exporter.get_finished_spans() if one.name.startswith("POST ")]
    assert [one.context.trace_id for one in spans if one.context] == [int(trace, 16)]
