"""What tells of the installation is for operators; readers get what the dashboard needs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_server import (
    HOST,
    Api,
    bearer,
    check_described,
    running_worker,
    serving_with_keys,
)
from tests.support.waiting import until
from triptych.api.system import Workers

pytestmark = pytest.mark.integration

HIDDEN_OF_WORKERS = ("host", "pid")
SETTINGS = {
    "allowed_hosts": (HOST,),
    "fetch_allow": "10.9.8.0/24",
    "oidc_operators": ("email:boss@example.org",),
    "sweep_s": 0.2,
}


@pytest.fixture
async def guarded(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[tuple[Api, dict[str, Any]]]:
    async with (
        serving_with_keys(migrated_dsn, tmp_path, **SETTINGS) as (api, tokens),
        running_worker(api),
    ):
        yield api, {name: bearer(token) for name, token in tokens.items()}


async def test_settings_are_for_operators(guarded: tuple[Api, dict[str, Any]]) -> None:
    api, keys = guarded
    refused = await api.get("/settings", headers=keys["reader"])
    assert (refused.status, refused.json["reason"]) == (403, "forbidden")
    shown = await api.get("/settings", headers=keys["operator"])
    values = {each["name"]: each["value"] for each in shown.json["items"]}
    assert (values["fetch_allow"], values["oidc_operators"]) == (
        "10.9.8.0/24",
        "email:boss@example.org",
    )


async def workers_told(api: Api, key: dict[str, str]) -> list[dict[str, Any]]:
    """Return the workers as live status tells of them, when there is one."""
    async with api.session.ws_connect(f"{api.url}/ws", headers=key) as socket:
        await socket.send_json({"type": "subscribe", "topics": [{"topic": "workers"}]})
        while True:
            frame = json.loads((await socket.receive(timeout=60)).data)
            if frame["type"] == "state" and frame["state"]["workers"]:
                return list(frame["state"]["workers"])


async def test_hosts_and_processes_of_workers_are_for_operators(
    guarded: tuple[Api, dict[str, Any]],
) -> None:
    api, keys = guarded
    await until(
        lambda: api.get("/workers", headers=keys["operator"]), lambda reply: reply.json["items"]
    )
    for who in ("operator", "reader", "operator"):
        reply = await api.get("/workers", headers=keys[who])
        check_described(Workers, reply.json)
        (answered,), (told,) = reply.json["items"], await workers_told(api, keys[who])
        for worker in (answered, told):
            assert worker["alive"]
            for name in HIDDEN_OF_WORKERS:
                assert (worker[name] is None) == (who == "reader"), (who, name)
            assert set(worker["phases"]) == {"gather", "acquire", "ai"}


async def test_a_source_as_it_was_shown_is_no_other_source(
    guarded: tuple[Api, dict[str, Any]],
) -> None:
    api, keys = guarded
    key = keys["operator"]
    source = "manifest:https://me:pw@h.example/a.csv?sig=1"
    made = await api("PUT", "/brands/nike", json={"source": source}, headers=key)
    assert made.status == 202
    shown = (await api.get("/brands/nike", headers=key)).json["source"]
    assert shown == "manifest:https://…@h.example/a.csv?…"
    again = {"source": shown, "schedule": "0 3 * * *"}
    assert (await api("PUT", "/brands/nike", json=again, headers=key)).status == 202
    brand = await api.stores.brands.scheduled("nike")
    stored = (await api.stores.brands.brand("nike")).source
    assert (brand.schedule, stored) == ("0 3 * * *", source), "it stands for what the brand has"
    other = {"source": shown.replace("a.csv", "b.csv")}
    for method, path, body in (
        ("PUT", "/brands/nike", other),
        ("PUT", "/brands/adidas", again),
        ("POST", "/brands/nike/runs", {"source": shown}),
        ("POST", "/sources/check", {"source": shown}),
    ):
        refused = await api(method, path, json=body, headers=key)
        assert (refused.status, refused.json["field"]) == (422, "source"), path
    assert (await api.stores.brands.brand("nike")).source == source
