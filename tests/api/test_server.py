"""The server as a process: its address, its keys, its end, and the workers it sees."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import pytest_asyncio

from tests.support.api_server import Api, serving
from tests.support.cli_process import PATIENCE_S, Cli, up
from tests.support.data_folder import provide
from tests.support.waiting import until

Marked = TypeVar("Marked", bound=Callable[..., object])
pytestmark = pytest.mark.integration


async def fetch(url: str, **options: Any) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, **options) as response,
    ):
        return response.status, json.loads(await response.read())


async def listed(url: str) -> list[Any]:
    return list((await fetch(url))[1]["items"])


@dataclass(frozen=True)
class Running:
    """A `triptych up` that tests leave running, and commands on its data folder."""

    cli: Cli
    url: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    cli = Cli(tmp_path_factory.mktemp("up") / "data")
    provide(cli.data)
    async with up(cli) as url:
        yield Running(cli, url)


ONE_RUNNING_SERVER: list[pytest.MarkDecorator] = [
    pytest.mark.xdist_group("one_running_server"),
    pytest.mark.asyncio(loop_scope="module"),
]


def of_running_server(test: Marked) -> Marked:
    """Mark a test that has the server of `running`: they are all of one process and one loop."""
    for mark in ONE_RUNNING_SERVER:
        test = mark(test)
    return test


@of_running_server
async def test_up_serves_the_api_and_shows_its_workers(running: Running) -> None:
    assert await fetch(f"{running.url}/readyz") == (200, {"status": "ok"})
    workers = await until(partial(listed, f"{running.url}/api/v1/workers"))
    assert [(w["alive"], w["stopping"]) for w in workers] == [(True, False)]
    assert set(workers[0]["phases"]) == {"gather", "acquire", "ai"}
    assert workers[0]["doing"]["url-process-queue"] == 0


@of_running_server
async def test_keys_are_made_and_shown_once(running: Running) -> None:
    cli = running.cli
    made = await cli("keys", "create", "ci", "--scope", "operator", "--json")
    token = made.json()["token"]
    assert token.startswith("trk_")
    assert (await cli("keys", "create", "ci")).code == 1
    assert (await cli("keys", "create", "a b")).code == 1
    assert (await cli("keys", "create", "c", "--scope", "king")).code == 1
    listed = await cli("keys", "list", "--json")
    assert token not in listed.out
    assert [(k["name"], k["scope"]) for k in listed.json()] == [("ci", "operator")]


async def test_keys_are_asked_for_and_revoked(cli: Cli) -> None:
    refused = await cli("up", "--host", "0.0.0.0")
    assert refused.code == 2
    assert "triptych keys create" in refused.err
    token = (await cli("keys", "create", "ci", "--scope", "operator", "--json")).json()["token"]
    cli.env["TRIPTYCH_ALLOWED_HOSTS"] = "triptych.example"
    cli.env["TRIPTYCH_API_BURST"] = cli.env["TRIPTYCH_API_RATE"] = "100000"
    async with up(cli) as url:
        assert (await fetch(f"{url}/api/v1/me"))[0] == 401
        bearer = {"Authorization": f"Bearer {token}"}
        status, me = await fetch(f"{url}/api/v1/me", headers=bearer)
        assert (status, me["name"], me["scope"]) == (200, "key:ci", "operator")
        assert (await cli("keys", "revoke", "ci")).code == 0
        asked = partial(fetch, f"{url}/api/v1/me", headers=bearer)
        status, _ = await until(asked, lambda reply: reply[0] != 200)
        assert status == 401
    assert "revoked" in (await cli("keys", "list")).out


@of_running_server
async def test_a_port_that_is_taken_is_one_clear_line(running: Running, tmp_path: Path) -> None:
    other = Cli(tmp_path / "other")
    other.env["TRIPTYCH_API_PORT"] = running.url.rpartition(":")[2]
    result = await other("up")
    assert result.code == 2
    (only,) = result.err.splitlines()
    assert "Cannot listen on 127.0.0.1" in only


async def test_a_server_that_stops_finishes_the_requests_it_has(
    migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(migrated_dsn, tmp_path) as api:
        reached, go_on = asyncio.Event(), asyncio.Event()
        asked = 0
        check = api.queue.depths

        async def slow() -> Any:
            nonlocal asked
            asked += 1
            if asked == 20:
                reached.set()
            await go_on.wait()
            return await check()

        monkeypatch.setattr(api.services.queue, "depths", slow)
        requests = [asyncio.create_task(api.get("/queues")) for _ in range(20)]
        await asyncio.wait_for(reached.wait(), PATIENCE_S)
        api.stop.set()
        await refused(api)
        assert not any(request.done() for request in requests)
        go_on.set()
        replies = await asyncio.gather(*requests)
        assert [reply.status for reply in replies] == [200] * 20
        await asyncio.wait_for(asyncio.shield(api.serving), PATIENCE_S)


async def refused(api: Api) -> None:
    """Wait until no new connection is taken."""
    host, _, port = api.url.removeprefix("http://").partition(":")
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except ConnectionError:
                return  # Refused; or reset, in the moment in which the socket is closed.
            writer.close()


async def test_the_api_by_itself_ends_at_sigterm(cli: Cli) -> None:
    process = await cli.start("api", "--port", "0")
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)).decode()
    found = re.search(r"The API is at (http://\S+)/api/v1", line)
    assert found, line
    assert (await fetch(f"{found[1]}/healthz"))[0] == 200
    process.send_signal(signal.SIGTERM)
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (process.returncode, err.decode().strip()) == (0, "Stopped.")
