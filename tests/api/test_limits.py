"""Phases and hosts are paused and limited by operators, and everybody sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.support.api_server import HOST, Api, bearer, check_described, serving
from tests.support.api_server import serving_with_keys as guarded
from triptych.access import key_cache
from triptych.access.access_store import Scope
from triptych.access.identity import digest, new_token
from triptych.api.limits import TRAFFIC_MAX, HostState, PhaseState
from triptych.fetch.host_limit import HostTraffic
from triptych.presence.presence_store import HeldMessage, SeenWorker, WorkerState
from triptych.tasks.task_store import Task


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing(shared_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A server for requests that are all refused, so that nothing is ever limited."""
    async with serving(shared_dsn, tmp_path_factory.mktemp("data")) as opened:
        yield opened


async def phases(api: Api, **options: Any) -> Mapping[str, Any]:
    return {each["phase"]: each for each in (await api.get("/phases", **options)).json["items"]}


async def beat(api: Api, *hosts: HostTraffic) -> WorkerState:
    held = [HeldMessage("url-process-queue", "nike", "a.example", 2.5)]
    worker = WorkerState(
        uuid4(),
        "machine",
        7,
        "1",
        ["acquire"],
        {"url-process-queue": 1},
        False,
        datetime.now(UTC),
        80_000_000,
        {"url-process-queue": 1.5},
        held,
        hosts,
    )
    await api.stores.presence.beat(worker, forget_s=60)
    return worker


async def test_a_phase_is_paused_limited_and_resumed(api: Api) -> None:
    await beat(api)
    before = await phases(api)
    assert list(before) == ["gather", "acquire", "ai"]
    check_described(PhaseState, before["acquire"])
    assert [each["workers"] for each in before.values()] == [0, 1, 0]
    reply = await api("PUT", "/phases/acquire", json={"paused": True, "concurrency": 4})
    assert reply.status == 202
    check_described(Task, reply.json)
    assert reply.json["state"] == "done"
    paused = (await phases(api))["acquire"]
    assert (paused["paused"], paused["concurrency"]) == (True, 4)
    assert (paused["paused_by"], paused["changed_by"]) == ("local", "local")
    assert paused["paused_at"] == paused["changed_at"]
    assert not (await phases(api))["ai"]["paused"]
    await api("PUT", "/phases/acquire", json={"paused": False})
    resumed = (await phases(api))["acquire"]
    assert (resumed["paused"], resumed["concurrency"], resumed["paused_at"]) == (False, None, None)
    audit = (await api.get("/audit")).json["items"]
    assert [(each["action"], each["target"]) for each in audit] == [
        ("put_phase", "phase:acquire")
    ] * 2
    assert audit[1]["detail"]["request"] == {"paused": True, "concurrency": 4}


async def test_a_repeated_key_changes_nothing_again(api: Api) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await api("PUT", "/phases/ai", json={"paused": True}, headers=key)
    await api("PUT", "/phases/ai", json={"paused": False})
    again = await api("PUT", "/phases/ai", json={"paused": True}, headers=key)
    assert again.body == first.body
    assert not (await phases(api))["ai"]["paused"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/phases/acquire", {}, "paused"),
        ("/phases/acquire", {"paused": False, "concurrency": 0}, "concurrency"),
        ("/phases/acquire", {"paused": False, "concurrency": 1001}, "concurrency"),
        ("/phases/commit", {"paused": True}, "phase"),
        ("/hosts/a.example", {"paused": False}, "paused"),
        ("/hosts/a.example", {"paused": False, "per_second": 0.001}, "per_second"),
        ("/hosts/a.example", {"paused": False, "concurrency": 0}, "concurrency"),
        ("/hosts/a.example:80", {"paused": True}, "host"),
        ("/hosts/a%20b", {"paused": True}, "host"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_makes_no_sense_is_refused_with_its_field(
    refusing: Api, path: str, body: Mapping[str, Any], field: str
) -> None:
    reply = await refusing("PUT", path, json=body)
    assert reply.status == 422
    assert reply.json["field"].endswith(field)
    limits = await refusing.stores.limits.limits()
    assert not any(limit.paused for limit in limits.phases.values())
    assert not limits.hosts


async def test_hosts_are_limited_and_listed_with_their_traffic(api: Api) -> None:
    await beat(api, HostTraffic("a.example", 3, 5), HostTraffic("busy.example", 9, 0))
    await beat(api, HostTraffic("a.example", 1, 0))
    body = {"paused": True, "per_second": 0.5}
    assert (await api("PUT", "/hosts/A.Example", json=body)).status == 202
    await api("PUT", "/hosts/z.example", json={"paused": False, "concurrency": 2})
    hosts = (await api.get("/hosts")).json
    check_described(HostState, hosts["items"][0])
    names = [(each["host"], each["requests"], each["waiting"]) for each in hosts["items"]]
    assert names == [("a.example", 4, 5), ("z.example", 0, 0), ("busy.example", 9, 0)]
    assert hosts["left_out"] == 0
    first, second, third = hosts["items"]
    assert (first["paused"], first["per_second"], first["paused_by"]) == (True, 0.5, "local")
    assert (second["concurrency"], second["workers"]) == (2, 0)
    assert (third["changed_at"], third["workers"]) == (None, 1)
    assert (await api("DELETE", "/hosts/a.example")).status == 202
    gone = await api("DELETE", "/hosts/a.example")
    assert (gone.status, gone.json["reason"]) == (404, "host-not-limited")
    left = (await api.get("/hosts")).json["items"]
    assert [each["host"] for each in left] == ["z.example", "busy.example", "a.example"]
    assert not any(each["paused"] for each in left)
    audit = (await api.get("/audit")).json["items"]
    assert [each["action"] for each in audit] == ["drop_host", "put_host", "put_host"]


async def test_hosts_beyond_the_listing_are_counted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TRAFFIC_MAX == 200
    monkeypatch.setattr("triptych.api.limits.TRAFFIC_MAX", 2)
    await beat(api, *(HostTraffic(f"h{number}", number + 1, 0) for number in range(5)))
    hosts = (await api.get("/hosts")).json
    assert [each["host"] for each in hosts["items"]] == ["h4", "h3"]
    assert hosts["left_out"] == 3


async def test_workers_tell_what_they_do(api: Api) -> None:
    await beat(api, HostTraffic("a.example", 3, 5))
    (worker,) = (await api.get("/workers")).json["items"]
    check_described(SeenWorker, worker)
    assert worker["memory_bytes"] == 80_000_000
    assert worker["per_second"] == {"url-process-queue": 1.5}
    assert worker["held"] == [
        {"queue": "url-process-queue", "brand": "nike", "host": "a.example", "seconds": 2.5}
    ]
    assert worker["hosts"] == [{"host": "a.example", "requests": 3, "waiting": 5}]


async def test_readers_see_limits_and_only_operators_change_them(
    migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_cache, "MISS_REFRESH_S", 0.0)
    async with guarded(migrated_dsn, tmp_path, allowed_hosts=(HOST,)) as (api, keys):
        reader, operator = bearer(keys["reader"]), bearer(keys["operator"])
        token = new_token()
        brands = frozenset({"nike"})
        await api.stores.access.create_key("nike", Scope.OPERATOR, digest(token), brands=brands)
        limited = bearer(token)
        put = {"json": {"paused": True}}
        for path in ("/phases/ai", "/hosts/a.example"):
            assert (await api("PUT", path, **put, headers=reader)).status == 403
            assert (await api("PUT", path, **put, headers=limited)).status == 403
            assert (await api("PUT", path, **put, headers=operator)).status == 202
        assert (await api("DELETE", "/hosts/a.example", headers=limited)).status == 403
        shown = (await phases(api, headers=reader))["ai"]
        assert (shown["paused"], shown["paused_by"]) == (True, "key:operator")
        own = (await phases(api, headers=limited))["ai"]
        assert (own["paused"], own["paused_by"], own["changed_by"]) == (True, None, None)
        assert (await api.get("/hosts", headers=reader)).status == 200
        assert (await api.get("/hosts", headers=limited)).status == 403
