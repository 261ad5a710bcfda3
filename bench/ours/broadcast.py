"""The measure that live status is held to: a bare `websockets` server that broadcasts one text."""

from __future__ import annotations

import asyncio
import contextlib
import json

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.asyncio.server import serve as serve_websockets
from websockets.exceptions import ConnectionClosed

from bench.track import Track

EVERYBODY: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    EVERYBODY.add(connection)
    try:
        with contextlib.suppress(ConnectionClosed):
            async for _ in connection:
                await connection.send('{"type":"state","version":0}')
    finally:
        EVERYBODY.discard(connection)


async def main() -> None:
    track = Track()
    size = track.arguments["bytes"]
    async with serve_websockets(handle, "127.0.0.1", 0, compression=None, backlog=1024) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        track.say(port=port, server=None, topic="x")
        version = 0
        while await track.next_order() is not None:
            version += 1
            head = {"type": "state", "version": version}
            text = json.dumps({**head, "x": ""}, separators=(",", ":"))
            broadcast(EVERYBODY, text.replace('""', f'"{"x" * (size - len(text))}"'))
            track.say(version=version)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
