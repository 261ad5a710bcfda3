"""What live status bears: wrong frames, other sites, too many, too fast, who does not read."""

from __future__ import annotations

import asyncio
import gc
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from bench.subscribers import subscribe
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.live_server import PATIENCE_S, Client, LiveServer, client, open_live_server
from tests.support.waiting import until_true
from triptych.access import key_cache
from triptych.access.access_store import Scope
from triptych.access.identity import digest, new_token
from triptych.live import live_app
from triptych.live.limits import FRAME_MAX_BYTES, MESSAGE_MAX_BYTES, RECHECK_S, Limits
from triptych.live.websocket_server import WRITE_BUFFER_BYTES, BoundedWebSocket
from triptych.messages import Phase

BAD_FRAMES: dict[str, str | bytes] = {
    "no JSON": "{",
    "no object": "[1, 2]",
    "null": "null",
    "unknown type": '{"type": "shout"}',
    "unknown field": '{"type": "ping", "x": 1}',
    "wrong type": '{"type": "ping", "id": 5}',
    "no topic": '{"type": "subscribe", "topics": []}',
    "unknown topic": '{"type": "subscribe", "topics": [{"topic": "weather"}]}',
    "no id": '{"type": "subscribe", "topics": [{"topic": "run:1"}]}',
    "no brand": '{"type": "subscribe", "topics": [{"topic": "brand:../x"}]}',
    "negative": '{"type": "subscribe", "topics": [{"topic": "brands", "after": -1}]}',
    "too large a number": '{"type":"subscribe","topics":[{"topic":"brands","after":1e400}]}',
    "too many": json.dumps({"type": "unsubscribe", "topics": ["brands"] * 101}),
    "deep": "[" * (FRAME_MAX_BYTES - 1),
    "long": json.dumps({"type": "ping", "id": "x" * FRAME_MAX_BYTES}),
    "surrogate": '{"type": "ping", "id": "\\ud800"}',
    "binary": b'{"type": "ping"}',
}


async def test_g9_an_invalid_frame_gets_an_error_and_the_stream_goes_on(
    migrated_dsn: str,
) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        for what, frame in BAD_FRAMES.items():
            await one.socket.send(frame)
            error = await one.hear()
            assert error["type"] == "error", what
            assert error["code"] in {"malformed", "too_large"}, what
            await one.say(type="ping", id=what)
            assert await one.hear() == {"type": "pong", "id": what}


async def test_g8_a_huge_message_closes_its_client_and_no_other(migrated_dsn: str) -> None:
    async with (
        open_live_server(migrated_dsn) as server,
        client(server) as bad,
        client(server) as good,
    ):
        await bad.socket.send("x" * (MESSAGE_MAX_BYTES + 1))
        assert (await bad.closed())[0] == 1009
        await good.say(type="ping")
        assert await good.hear() == {"type": "pong"}


async def test_g8_what_one_client_may_take_is_limited(migrated_dsn: str) -> None:
    limits = Limits(clients=2, subscriptions=3, frames_burst=5, frames_per_s=0.001, overruns=3)
    async with open_live_server(migrated_dsn, limits=limits) as server, client(server) as one:
        await one.subscribe("brand:a", "brand:b", "brand:c")
        await one.say(type="subscribe", topics=[{"topic": "brand:d"}], id="x")
        error = await one.until("error")
        assert (error["code"], error["id"]) == ("too_many", "x")
        async with client(server):
            with pytest.raises(InvalidStatus) as refused:
                await connect(server.url, proxy=None)
            assert refused.value.response.status_code == 503
        for _ in range(5):
            await one.say(type="ping")
        assert (await one.until("error"))["code"] == "too_fast"
        for _ in range(3):
            await one.say(type="ping")
        assert await one.closed() == (1008, "too many frames")


@asynccontextmanager
async def holding_a_key(
    server: LiveServer, name: str, brands: frozenset[str] | None = None
) -> AsyncIterator[Client]:
    token = new_token()
    await server.stores.access.create_key(name, Scope.READER, digest(token), brands=brands)
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(server.url, proxy=None, additional_headers=headers) as socket:
        yield Client(socket)


async def test_an_open_connection_ends_with_its_key(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_app, "RECHECK_S", 0.05)
    monkeypatch.setattr(key_cache, "REFRESH_S", 0.05)
    monkeypatch.setattr(key_cache, "MISS_REFRESH_S", 0.0)
    async with (
        open_live_server(migrated_dsn) as server,
        holding_a_key(server, "stolen") as stolen,
        holding_a_key(server, "kept") as kept,
    ):
        for one in (stolen, kept):
            await one.subscribe("brands")
        await server.stores.access.revoke_key("stolen")
        assert await stolen.closed() == (3000, "this key or token is no longer valid")
        await kept.say(type="ping", id="still")
        await kept.until("pong", id="still")


async def test_a_limited_key_hears_of_its_brands_only(migrated_dsn: str) -> None:
    only = frozenset({"nike"})
    async with (
        open_live_server(migrated_dsn) as server,
        holding_a_key(server, "nike-only", only) as one,
    ):
        mine, other = await server.open("nike"), await server.open("adidas")
        await one.subscribe("brands")
        listing = [await one.until("state", topic="brands"), await one.until("listed")]
        assert [listing[0]["key"], listing[1]["count"]] == ["nike", 1]
        await one.subscribe(f"run:{other.id}", "brand:adidas", after=0)
        states = [await one.until("state"), await one.until("state")]
        assert {state["topic"] for state in states} == {f"run:{other.id}", "brand:adidas"}
        assert [state["state"] for state in states] == [None, None]
        await server.stores.limits.put_phase(Phase.AI, paused=True, concurrency=None, by="ann")
        await server.stores.limits.put_host(
            "adidas.example", paused=True, concurrency=None, per_second=None, by="ann"
        )
        await one.subscribe("limits")
        limits = await one.until("state", topic="limits")
        assert limits["state"]["phases"][2]["paused"]
        assert "ann" not in json.dumps(limits), "neither names nor hosts, which are of others"
        assert limits["state"]["hosts"] == []
        wanted = [{"topic": name} for name in ("workers", "brand:nike", "queues")]
        await one.say(type="subscribe", topics=wanted, id="x")
        errors = [await one.until("error", id="x") for _ in range(2)]
        assert [error["code"] for error in errors] == ["forbidden"] * 2
        assert [error["topic"] for error in errors] == ["queues", "workers"]
        assert (await one.until("subscribed", id="x"))["topics"] == ["brand:nike"]
        # The other brand changes before its own does, and only its own is heard of.
        await server.finish(other.id)
        await one.subscribe(f"run:{mine.id}", after=0)
        await server.finish(mine.id)
        while (frame := await one.hear())["type"] != "timeline" or not frame.get("events"):
            assert "adidas" not in json.dumps(frame)
            assert frame.get("topic") in {None, "brands", "brand:nike", "limits", f"run:{mine.id}"}
        assert frame["topic"] == f"run:{mine.id}"


def test_a_socket_ends_within_ten_seconds_of_its_key() -> None:
    assert key_cache.REFRESH_S + RECHECK_S <= 10


async def test_one_key_takes_a_share_of_the_connections(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_cache, "MISS_REFRESH_S", 0.0)
    limits = Limits(clients=10, clients_each=1)
    async with (
        open_live_server(migrated_dsn, limits=limits) as server,
        holding_a_key(server, "first") as first,
        holding_a_key(server, "second"),
        client(server),
        client(server),
    ):
        assert first.socket.request is not None
        headers = {"Authorization": first.socket.request.headers["Authorization"]}

        async def status() -> int:
            try:
                async with connect(server.url, proxy=None, additional_headers=headers):
                    return 101
            except InvalidStatus as refused:
                return refused.response.status_code

        assert await status() == 429
        await first.socket.close()
        async with asyncio.timeout(PATIENCE_S):
            while await status() == 429:
                await asyncio.sleep(0)


async def test_g7_malformed_notifications_end_no_stream(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server, client(server) as one:
        run = await server.open()
        await one.subscribe(f"run:{run.id}", "brands")
        for payload in ("", "garbage", "\x01", "x" * 7000, str(uuid4())):
            for channel in ("triptych_runs", "triptych_brands", "triptych_queues"):
                await server.database.fetch("select pg_notify($1, $2)", channel, payload)
        await server.stores.runs.cancel(run.id)
        assert (await one.until("state", topic=f"run:{run.id}", final=True))["state"]


async def test_stopping_tells_clients_to_come_back_and_cuts_no_frame(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server:
        run = await server.open()
        async with client(server) as one:
            await one.subscribe(f"run:{run.id}")
            await one.until("state")
            server.stop.set()
            assert (await one.closed())[0] == 1012


REFUSED = {
    "a page of another site": ({"Origin": "https://evil.example"}, 403),
    "a sandboxed page": ({"Origin": "null"}, 403),
    "a name bound anew": ({"Host": "evil.example"}, 421),
    "another port's page": ({"Origin": "http://127.0.0.1:1"}, 403),
}


async def test_g9_other_sites_may_not_connect(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server:
        host = server.url.removeprefix("ws://").removesuffix("/ws")
        for what, (headers, status) in REFUSED.items():
            request = {"Host": host, **headers}
            lines = "".join(f"{name}: {value}\r\n" for name, value in request.items())
            assert await handshake(host, lines) == status, what
        assert await handshake(host, f"Host: {host}\r\nOrigin: http://{host}\r\n") == 101
        assert await handshake(host, f"Host: {host}\r\n", path="/other") == 404
        unknown = f"Host: {host}\r\nSec-WebSocket-Protocol: triptych.v9\r\n"
        assert await handshake(host, unknown) == 400


UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def handshake(host: str, lines: str, *, path: str = "/ws") -> int:
    address, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(address, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\n{lines}{UPGRADE}".encode())
    status = (await asyncio.wait_for(reader.readline(), PATIENCE_S)).split()[1]
    writer.close()
    await writer.wait_closed()
    return int(status)


async def test_the_known_protocol_is_chosen(migrated_dsn: str) -> None:
    async with (
        open_live_server(migrated_dsn) as server,
        connect(server.url, proxy=None, subprotocols=["other", "triptych.v1"]) as socket,  # type: ignore[list-item]
    ):
        assert socket.subprotocol == "triptych.v1"


async def test_g9_bytes_that_are_no_frames_end_their_connection_only(migrated_dsn: str) -> None:
    rng = random.Random(3)
    async with open_live_server(migrated_dsn) as server, client(server) as good:
        host, port = server.url.removeprefix("ws://").removesuffix("/ws").split(":")
        for _ in range(50):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\n{UPGRADE}".encode())
            await reader.readuntil(b"\r\n\r\n")
            writer.write(rng.randbytes(rng.randrange(1, 2_000)))
            writer.write_eof()
            await asyncio.wait_for(reader.read(), PATIENCE_S)
            writer.close()
        await good.say(type="ping", id="still")
        assert await good.hear() == {"type": "pong", "id": "still"}


async def test_g8_who_does_not_read_is_closed_and_delays_nobody(migrated_dsn: str) -> None:
    """What waits for a client that does not read: the write buffers and no more."""
    async with open_live_server(migrated_dsn, limits=Limits(slow_s=0.5)) as server:
        run = await server.open()
        port = int(server.url.rpartition(":")[2].removesuffix("/ws"))
        slow = await subscribe(port, f"run:{run.id}", 20, paused=True)
        # 100 kB a state: kernel and server hold about half a megabyte for each client.
        await server.database.fetch("update runs set reason = repeat('x', 100000)")
        async with client(server) as one:
            await one.subscribe(f"run:{run.id}")
            heard = 0
            async with asyncio.timeout(PATIENCE_S):
                while server.app.hub.counters.slow < len(slow.subscribers):
                    await server.stores.runs.pause(run.id, paused=heard % 2 == 0)
                    version = (await server.stores.runs.run(run.id)).version
                    while (await one.until("state"))["version"] < version:
                        continue
                    heard += 1
            last = await server.stores.runs.cancel(run.id)
            assert (await one.until("state", final=True))["version"] == last.version
        await until_true(lambda: not server.app.hub.counters.clients)
        slow.close()


async def test_g8_pings_of_who_does_not_read_are_not_piled_up(migrated_dsn: str) -> None:
    async with open_live_server(migrated_dsn) as server:
        host, port = server.url.removeprefix("ws://").removesuffix("/ws").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\n{UPGRADE}".encode())
        await reader.readuntil(b"\r\n\r\n")
        ping = b"\x89\xfd" + bytes(4) + b"x" * 125
        for _ in range(200):
            writer.write(ping * 500)
            await writer.drain()
        protocols = [each for each in gc.get_objects() if type(each) is BoundedWebSocket]
        held = max(each.transport.get_write_buffer_size() for each in protocols)
        assert held <= 4 * WRITE_BUFFER_BYTES
        writer.transport.abort()
