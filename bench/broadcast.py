"""The measure that live status is held to: a bare `websockets` server that broadcasts one text.

``python -m bench.broadcast TEXT_BYTES``: prints its port, then broadcasts for each line of stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast
from websockets.asyncio.server import serve as serve_websockets
from websockets.exceptions import ConnectionClosed

EVERYBODY: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    EVERYBODY.add(connection)
    try:
        with contextlib.suppress(ConnectionClosed):
            async for _ in connection:
                await connection.send('{"type":"state","version":0}')
    finally:
        EVERYBODY.discard(connection)


async def main(size: int) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async with serve_websockets(handle, "127.0.0.1", 0, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        while line := await reader.readline():
            head = {"type": "state", "version": int(line)}
            text = json.dumps({**head, "x": ""}, separators=(",", ":"))
            broadcast(EVERYBODY, text.replace('""', f'"{"x" * (size - len(text))}"'))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
