"""python-socketio on uvicorn, which its guide advises: one event to everybody in a room."""

from __future__ import annotations

import asyncio
import socket

import socketio
import uvicorn

from bench.track import Track

ROOM = "x"


async def main() -> None:
    track = Track()
    size = track.arguments["bytes"]
    server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")

    @server.event
    async def subscribe(client: str, _asked: object) -> None:
        await server.enter_room(client, ROOM)
        await server.emit("state", {"type": "state", "version": 0}, to=client)

    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    web = uvicorn.Server(
        uvicorn.Config(socketio.ASGIApp(server), log_level="warning", access_log=False)
    )
    serving = asyncio.create_task(web.serve(sockets=[listening]))
    while not web.started:
        await asyncio.sleep(0.01)
    track.say(port=listening.getsockname()[1], server=None, topic=ROOM)
    version = 0
    while await asyncio.to_thread(track.order) is not None:
        version += 1
        state = {"type": "state", "version": version, "x": ""}
        await server.emit("state", {**state, "x": "x" * (size - 50)}, room=ROOM)
        track.say(version=version)
    web.should_exit = True
    await serving


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
