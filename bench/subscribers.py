"""Thousands of WebSocket clients in one process: picows reads the frames, states are counted.

They speak our protocol, or Socket.IO's (https://socket.io/docs/v4/socket-io-protocol/), in which a
subscription is an event, too.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections import Counter
from dataclasses import dataclass

import psutil
from picows import WSFrame, WSListener, WSMsgType, WSParsedURL, WSTransport, ws_connect

from bench.program import HOST

VERSION = re.compile(rb'"version":(\d+)')
FINAL = b'"final":true'
HEAD_BYTES = 300
"""A state's own members stand in front."""
SMALL_BUFFER_BYTES = 4096
AT_ONCE = 200
"""Clients that connect at a time."""


@dataclass(frozen=True)
class Dialect:
    """How clients talk to a server."""

    path: str
    subscription: str
    """What subscribes to a topic, in JSON; said at once if nothing is to be answered first."""
    state: bytes
    """How a frame begins that brings a state."""
    answers: tuple[tuple[bytes, str], ...] = ()
    """What is said to frames that begin so."""


SUBSCRIPTION = '42["subscribe",%s]'
TRIPTYCH = Dialect("/ws", '{"type":"subscribe","topics":[{"topic":%s}]}', b'{"type":"state"')
SOCKET_IO = Dialect(
    "/socket.io/?EIO=4&transport=websocket",
    SUBSCRIPTION,
    b'42["state"',
    # The transport is open: connect. Connected: subscribe. A ping: a pong.
    ((b"0{", "40"), (b"40", SUBSCRIPTION), (b"2", "3")),
)


class Crowd:
    """Clients together: tells when all of them have a version."""

    def __init__(self) -> None:
        self.subscribers: list[Subscriber] = []
        self._counts: Counter[int] = Counter()
        self._grew = asyncio.Event()

    def run_step(self, version: int) -> None:
        """Count a client that has a version."""
        self._counts[version] += 1
        if self._counts[version] >= len(self.subscribers):
            self._grew.set()

    def close(self) -> None:
        """Cut every client off."""
        for subscriber in self.subscribers:
            subscriber.transport.underlying_transport.abort()

    async def have(self, version: int) -> None:
        """Return when every client has it."""
        while self._counts[version] < len(self.subscribers):
            self._grew.clear()
            await self._grew.wait()


class Subscriber(WSListener):
    """Subscribes to a topic, and notes when which version came."""

    transport: WSTransport

    def __init__(self, crowd: Crowd, topic: str, dialect: Dialect) -> None:
        self._crowd = crowd
        self._dialect = dialect
        self._topic = topic
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.came: dict[int, float] = {}
        """When each version of the state came, by the monotonic clock."""
        self.final = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Subscribe, if nothing else is said first."""
        self.transport = transport
        if not self._dialect.answers:
            self._say(self._dialect.subscription)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        """Note that it is gone."""
        if not self.first.done():
            self.first.set_exception(ConnectionResetError("closed before the first state"))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
        """Take what has come."""
        payload = frame.get_payload_as_bytes()
        if not payload.startswith(self._dialect.state):
            for head, answer in self._dialect.answers:
                if payload.startswith(head):
                    return self._say(answer)
            return None
        found = VERSION.search(payload)
        assert found
        version = int(found[1])
        if version not in self.came:
            self.came[version] = time.monotonic()
            self._crowd.run_step(version)
        self.final = self.final or FINAL in payload[:HEAD_BYTES]
        if not self.first.done():
            self.first.set_result(None)
        return None

    def _say(self, text: str) -> None:
        said = text.replace("%s", json.dumps(self._topic))
        self.transport.send(WSMsgType.TEXT, said.encode())


async def subscribe(
    port: int, topic: str, count: int, *, paused: bool = False, dialect: Dialect = TRIPTYCH
) -> Crowd:
    """Connect clients and return when each has its first state; paused ones then read no more."""
    crowd = Crowd()

    def small(_url: WSParsedURL) -> socket.socket:
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        peer.setblocking(False)
        return peer

    def subscriber() -> Subscriber:
        crowd.subscribers.append(Subscriber(crowd, topic, dialect))
        return crowd.subscribers[-1]

    for number in range(count):
        await ws_connect(
            subscriber,
            f"ws://{HOST}:{port}{dialect.path}",
            websocket_handshake_timeout=None,
            read_buffer_init_size=SMALL_BUFFER_BYTES,
            socket_factory=small if paused else None,
        )
        if number % AT_ONCE == AT_ONCE - 1 or number == count - 1:
            await asyncio.gather(*(each.first for each in crowd.subscribers[-AT_ONCE:]))
    if paused:
        for each in crowd.subscribers:
            each.transport.underlying_transport.pause_reading()
    return crowd


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has resident."""
    return int(psutil.Process(pid).memory_info().rss)
