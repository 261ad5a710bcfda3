"""python-socketio on uvicorn, which its guide advises: one event to everybody in a room."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import socketio
import uvicorn

from bench.program import HOST, Given, Ready

ROOM = "x"
HEAD_BYTES = 50
"""What stands around a state's padding."""


@asynccontextmanager
async def room(arguments: Given) -> AsyncIterator[Ready]:
    server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
    padding, versions = "x" * (arguments["bytes"] - HEAD_BYTES), itertools.count(1)

    @server.event
    async def subscribe(client: str, _asked: object) -> None:
        await server.enter_room(client, ROOM)
        await server.emit("state", {"type": "state", "version": 0}, to=client)

    async def work(_order: Given) -> dict[str, int]:
        version = next(versions)
        state = {"type": "state", "version": version, "x": padding}
        await server.emit("state", state, room=ROOM)
        return {"version": version}

    listening = socket.create_server((HOST, 0), backlog=1024)
    app = socketio.ASGIApp(server)
    web = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    serving = asyncio.create_task(web.serve(sockets=[listening]))
    while not web.started:
        await asyncio.sleep(0.01)
    yield Ready(work, {"port": listening.getsockname()[1], "server": None, "topic": ROOM})
    web.should_exit = True
    await serving
