"""Following live status from Python, from JavaScript, and from the command line."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec import convert
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.support.commands import DatabaseCommands, log_apart
from tests.support.cutting_proxy import open_proxy
from tests.support.live_process import live_process
from tests.support.live_server import PATIENCE_S, Client, open_live_server
from tests.support.worker_processes import environment
from triptych.client.subscription import Update, follow, timeline_remote, watch_remote
from triptych.errors import LiveUnavailable
from triptych.live.protocol import SUBPROTOCOL
from triptych.runs.run_shown import RunShown

pytestmark = pytest.mark.integration


async def test_g7_a_client_that_is_told_to_come_back_does(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server:
        run = await server.open()
        heard: list[Update] = []

        async def listen(url: str) -> None:
            async for told in follow(url, [f"run:{run.id}"], after={f"run:{run.id}": 0}):
                heard.append(told)
                news.set()

        news = asyncio.Event()
        async with open_proxy([int(server.url.rpartition(":")[2].removesuffix("/ws"))]) as proxy:
            listening = asyncio.create_task(listen(f"ws://127.0.0.1:{proxy.port}/ws"))
            for page in range(5):
                cutting = asyncio.create_task(proxy.cut())
                await server.stores.runs.expect(run.id, [], cursor=str(page), limit=1)
                await cutting
            last = await server.stores.runs.cancel(run.id)
            async with asyncio.timeout(PATIENCE_S):
                while not any(told.final for told in heard) or seen(heard)[-1:] < [last.seq]:
                    news.clear()
                    await news.wait()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        versions = [told.version for told in heard if told.state is not None]
        assert versions == sorted(set(versions))
        assert seen(heard) == list(range(1, last.seq + 1))


async def test_a_server_that_closes_at_once_is_retried_with_backoff() -> None:
    asked: list[float] = []

    async def close_at_once(socket: ServerConnection) -> None:
        asked.append(asyncio.get_running_loop().time())
        await socket.close(1013)

    async with serve(close_at_once, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as server:  # type: ignore[list-item]
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(LiveUnavailable):
            await anext(follow(f"ws://127.0.0.1:{port}/ws", ["brands"], give_up_s=1.5))
    # At most 0.2, 0.4, 0.8 s and so on: seven pauses take half of their 12 s on average.
    assert 2 <= len(asked) <= 20


def seen(heard: list[Update]) -> list[int]:
    return [event["seq"] for told in heard for event in told.events]


async def test_a_run_is_watched_and_its_timeline_read_from_afar(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server:
        run = await server.open()
        await server.stores.runs.cancel(run.id)
        states = [state async for state in watch_remote(server.url, run.id)]
        assert states == [RunShown.of(await server.stores.runs.run(run.id))]
        events = [event async for event in timeline_remote(server.url, run.id)]
        assert events == await server.stores.runs.timeline(run.id, after=0, limit=100)
        with pytest.raises(LiveUnavailable, match="does not know run"):
            await anext(watch_remote(server.url, uuid4()))
        with pytest.raises(LiveUnavailable, match="other sites"):
            await anext(follow(server.url, ["brands"], headers={"Origin": "https://evil.example"}))
    with pytest.raises(LiveUnavailable, match="triptych live"):
        await anext(follow(server.url, ["brands"], give_up_s=0))


PAGE = Path(__file__).resolve().parents[2] / "docs/reference/live.md"


async def test_the_example_of_the_docs_follows_a_run_to_its_end(
    migrated_dsn: str, tmp_path: Path
) -> None:
    (example,) = re.findall(r"```js\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    script = tmp_path / "watch.js"
    show = "(what) => console.log(JSON.stringify(what))"
    script.write_text(f"{example}\nwatchRun(process.argv[2], process.argv[3], {show});\n", "utf-8")
    async with open_live_server(migrated_dsn) as server:
        run = await server.open()
        process = await asyncio.create_subprocess_exec(
            *("node", "--experimental-websocket", "--no-warnings", str(script)),
            *(server.url, str(run.id)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            first = json.loads(await process.stdout.readline())
            assert first["id"] == str(run.id)
            last = await server.stores.runs.cancel(run.id)
            shown = [json.loads(line) async for line in process.stdout]
            assert await process.wait() == 0
        newest = next(each for each in reversed(shown) if "id" in each)
        assert convert(newest, RunShown) == RunShown.of(last)


async def test_the_command_drains_on_sigterm(migrated_dsn: str, tmp_path: Path) -> None:
    async with live_process(environment(migrated_dsn, tmp_path)) as (process, port):
        async with connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as socket:
            one = Client(socket)
            await one.subscribe("brands", "queues")
            await one.until("listed")
            process.terminate()
            assert (await one.closed())[0] == 1012
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0


def test_the_command_listens_on_this_machine_only(migrated_dsn: str, tmp_path: Path) -> None:
    commands = DatabaseCommands(migrated_dsn, tmp_path)
    with log_apart():
        refused = commands("live", "--host", "0.0.0.0", "--port", "0")
    assert refused.code == 2
    assert "triptych keys create" in refused.err
