"""Thousands of WebSocket clients in one process, as light as can be: no library, frames counted.

They speak our protocol, or Socket.IO's (https://socket.io/docs/v4/socket-io-protocol/), in which a
subscription is an event, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import cast

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
VERSION = re.compile(rb'"version":(\d+)')
SMALL_BUFFER_BYTES = 4096
AT_ONCE = 200
"""Clients that connect at a time."""


@dataclass(frozen=True)
class Dialect:
    """How clients talk to a server."""

    path: str
    state: bytes
    """How a frame begins that brings a state."""
    answers: tuple[tuple[bytes, str | None], ...] = ()
    """What is said to frames that begin so; None: the subscription."""


TRIPTYCH = Dialect("/ws", b'{"type":"state"')
SOCKET_IO = Dialect(
    "/socket.io/?EIO=4&transport=websocket",
    b'42["state"',
    # The transport is open: connect. Connected: subscribe. A ping: a pong.
    ((b"0{", "40"), (b"40", None), (b"2", "3")),
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
            if subscriber.transport is not None:
                subscriber.transport.abort()

    async def have(self, version: int) -> None:
        """Return when every client has it."""
        while self._counts[version] < len(self.subscribers):
            self._grew.clear()
            await self._grew.wait()


class Subscriber(asyncio.Protocol):
    """Subscribes to a topic, and notes when which version came."""

    def __init__(self, crowd: Crowd, port: int, topic: str, dialect: Dialect) -> None:
        self._crowd = crowd
        self._dialect = dialect
        self._port = port
        self._topic = topic
        self._buffer = b""
        self._upgraded = False
        self.transport: asyncio.Transport | None = None
        self.first = asyncio.get_running_loop().create_future()
        self.came: dict[int, float] = {}
        """When each version of the state came, by the monotonic clock."""
        self.frames = 0
        self.final = False
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for an upgrade."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(HANDSHAKE.format(path=self._dialect.path, port=self._port).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is gone."""
        self.lost = True
        if not self.first.done():
            self.first.set_exception(exc or ConnectionResetError("closed before the first state"))

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._buffer += data
        if not self._upgraded:
            head, mark, rest = self._buffer.partition(b"\r\n\r\n")
            if not mark:
                return
            assert b" 101 " in head, head
            self._upgraded, self._buffer = True, rest
            if not self._dialect.answers:
                self._say(json.dumps({"type": "subscribe", "topics": [{"topic": self._topic}]}))
        while (payload := self._next_frame()) is not None:
            self._take(payload)

    def _say(self, frame: str) -> None:
        assert self.transport is not None
        text = frame.encode()
        length = (
            bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + struct.pack("!H", len(text))
        )
        # A mask of zeros leaves the text as it is.
        self.transport.write(b"\x81" + length + bytes(4) + text)

    def _next_frame(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        length, start = buffer[1] & 0x7F, 2
        if length == 126:
            length, start = struct.unpack_from("!H", buffer, 2)[0], 4
        elif length == 127:
            if len(buffer) < 10:
                return None
            length, start = struct.unpack_from("!Q", buffer, 2)[0], 10
        if len(buffer) < start + length:
            return None
        self._buffer = buffer[start + length :]
        return buffer[start : start + length]

    def _take(self, payload: bytes) -> None:
        if not payload.startswith(self._dialect.state):
            for head, answer in self._dialect.answers:
                if payload.startswith(head):
                    self._say(answer or f'42["subscribe",{json.dumps(self._topic)}]')
                    break
            return
        found = VERSION.search(payload)
        assert found
        self.frames += 1
        version = int(found[1])
        if version not in self.came:
            self.came[version] = time.monotonic()
            self._crowd.run_step(version)
        self.final = self.final or b'"final":true' in payload[:300]
        if not self.first.done():
            self.first.set_result(None)


async def subscribe(
    port: int, topic: str, count: int, *, paused: bool = False, dialect: Dialect = TRIPTYCH
) -> Crowd:
    """Connect clients and return when each has its first state; paused ones then read no more."""
    loop = asyncio.get_running_loop()
    crowd = Crowd()
    for _ in range(count):
        peer = socket.socket()
        if paused:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
        peer.setblocking(False)
        await loop.sock_connect(peer, ("127.0.0.1", port))
        _, subscriber = await loop.create_connection(
            lambda: Subscriber(crowd, port, topic, dialect), sock=peer
        )
        crowd.subscribers.append(subscriber)
        if len(crowd.subscribers) % AT_ONCE == 0:
            await asyncio.gather(*(each.first for each in crowd.subscribers[-AT_ONCE:]))
    await asyncio.gather(*(subscriber.first for subscriber in crowd.subscribers))
    if paused:
        for subscriber in crowd.subscribers:
            assert subscriber.transport is not None
            subscriber.transport.pause_reading()
    return crowd


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has resident."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )
