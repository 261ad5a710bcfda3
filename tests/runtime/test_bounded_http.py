"""What a client may send before anybody knows who it is: heads, half requests, connections."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest
from websockets.asyncio.client import connect

from triptych.api.http.problems import Problem
from triptych.runtime import bounded_http
from triptych.runtime.asgi_server import bind, serving
from triptych.runtime.bounded_http import CONNECTIONS_MAX, HEAD_MAX_BYTES
from triptych.settings.settings import Settings

pytestmark = pytest.mark.integration

PATIENCE_S = 30.0
GET = b"GET /healthz HTTP/1.1\r\nhost: here\r\n"


class App:
    """Answers with the number of bytes of the body, once it is released."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.release.set()
        self.asked = 0
        self.disconnected = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        if scope["type"] == "websocket":
            await self._echo(receive, send)
            return
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected += 1
                return
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        await self.release.wait()
        body = str(size).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _echo(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def status(self) -> int:
        """Return the status of the next answer; 0 if the connection was closed without one."""
        status, _ = await self.answer()
        return status

    async def answer(self) -> tuple[int, bytes]:
        """Return the status and the body of the next answer."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0, b""
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            return int(head.split(b" ")[1]), await self.reader.readexactly(length)

    async def is_closed(self) -> bool:
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


class Server:
    def __init__(self, app: App, port: int) -> None:
        self.app = app
        self.port = port
        self._clients: list[Client] = []

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.writer.close()


async def sent_until_cut(client: Client, piece: bytes) -> int:
    """Send for as long as it can be sent, 300 MB at most; return how many bytes it was."""
    for number in range(300_000_000 // len(piece)):
        try:
            await client.send(piece)
        except ConnectionError:
            return number * len(piece)
    return 300_000_000


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    app = App()
    listening = bind("127.0.0.1", 0)
    async with serving(app, listening):
        with closing(Server(app, listening.getsockname()[1])) as opened:
            yield opened


async def test_usual_requests_are_answered_on_one_connection(server: Server) -> None:
    client = await server.connect()
    for size in (0, 10, 500_000):
        await client.send(GET + b"content-length: %d\r\n\r\n" % size + bytes(size))
        assert await client.status() == 200
    await client.send((GET + b"\r\n") * 3)
    assert [await client.status() for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"x: " + b"a" * HEAD_MAX_BYTES, id="one header"),
        pytest.param(b"x: a\r\n" * (HEAD_MAX_BYTES // 4), id="many headers"),
    ],
)
async def test_a_head_above_the_limit_is_refused(server: Server, head: bytes) -> None:
    client = await server.connect()
    await client.send(GET + head + b"\r\n\r\n")
    status, body = await client.answer()
    assert status == 431
    problem = Problem.model_validate_json(body)
    assert (problem.status, problem.reason) == (431, "request-header-fields-too-large")
    assert str(HEAD_MAX_BYTES) in problem.detail
    assert server.app.asked == 0


async def test_a_head_just_within_the_limit_is_answered(server: Server) -> None:
    client = await server.connect()
    await client.send(GET + b"x: " + b"a" * (HEAD_MAX_BYTES - 100) + b"\r\n\r\n")
    assert await client.status() == 200


@pytest.mark.parametrize("start", [b"GET /", GET + b"x: ", GET], ids=["line", "header", "headers"])
async def test_a_head_without_end_is_cut_and_others_are_served(
    server: Server, start: bytes
) -> None:
    attacker = await server.connect()
    await attacker.send(start)
    sent = await sent_until_cut(attacker, b"x: y\r\n" * 1000 if start == GET else b"a" * 6000)
    # What is sent while the refusal is on its way lies in buffers of the operating system.
    assert sent < 16 * 1024**2
    client = await server.connect()
    await client.send(GET + b"\r\n")
    assert await client.status() == 200


@pytest.mark.parametrize(
    "half", [b"", b"G", GET, b"\r\n"], ids=["nothing", "a byte", "headers", "a line break"]
)
async def test_half_a_request_does_not_stay(
    server: Server, half: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_S", 0.2)
    client = await server.connect()
    await client.send(half)
    assert await client.status() == 408
    assert await client.is_closed()


async def test_half_a_second_request_does_not_stay(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_S", 0.2)
    client = await server.connect()
    await client.send(GET + b"\r\n")
    assert await client.status() == 200
    await client.send(GET)
    assert await client.status() == 408


async def test_an_answer_that_takes_long_is_not_cut_for_the_next_head(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_S", 0.1)
    server.app.release.clear()
    slow, witness = await server.connect(), await server.connect()
    await slow.send(GET + b"\r\n" + GET)
    assert await witness.status() == 408  # More than the limit has passed.
    server.app.release.set()
    assert await slow.status() == 200
    assert await slow.status() == 408


async def test_a_body_that_comes_too_slowly_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "BODY_CHECK_S", 0.2)
    client = await server.connect()
    await client.send(GET + b"content-length: 1000\r\n\r\n" + bytes(10))
    assert await client.status() == 408
    async with asyncio.timeout(PATIENCE_S):
        while not server.app.disconnected:
            await asyncio.sleep(0)


async def test_connections_above_the_limit_are_refused_and_places_come_back(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "CONNECTIONS_MAX", 2)
    first, second = await server.connect(), await server.connect()
    for client in (first, second):
        await client.send(GET + b"\r\n")
        assert await client.status() == 200
    third = await server.connect()
    assert await third.status() == 503
    first.writer.close()
    await first.writer.wait_closed()
    async with asyncio.timeout(PATIENCE_S):
        status = 503
        while status == 503:
            again = await server.connect()
            await again.send(GET + b"\r\n")
            status = await again.status()
    assert status == 200


async def test_a_websocket_has_no_limit_of_http(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_S", 0.1)
    async with connect(f"ws://127.0.0.1:{server.port}") as websocket:
        witness = await server.connect()
        assert await witness.status() == 408  # More than the limit has passed.
        await websocket.send("still")
        assert await websocket.recv() == "still"


def test_a_server_has_descriptors_for_all_clients_that_it_takes() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
        bounded_http.allow_connections()
        raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert raised == min(2 * CONNECTIONS_MAX, before[1])
        assert bounded_http.connections_max() == raised // 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert Settings.model_fields["live_clients"].default < CONNECTIONS_MAX
