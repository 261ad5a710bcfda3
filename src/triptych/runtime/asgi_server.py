"""Serving an ASGI app: a socket that is bound once, and a stop that interrupts no request."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import uvicorn

from triptych.errors import SettingsError
from triptych.runtime.bounded_http import BoundedHttp, allow_connections

BACKLOG = 2048
BIND_TRIES_S = 5.0
"""A server that was killed may hold the port for a moment more."""
BIND_RETRY_S = 0.1
KEEP_ALIVE_S = 130
"""Longer than the load balancer keeps an idle connection (120 s in the template), so that it closes
it first; otherwise it may send a request on a connection that is just being closed (502)."""


def bind(host: str, port: int, *, field: str = "TRIPTYCH_API_PORT") -> socket.socket:
    """Return a listening socket; connections wait in it until they are served.

    Port 0 takes a free one. ``field`` is what an error names.

    Raises:
        SettingsError: the address cannot be bound.
    """
    until = time.monotonic() + BIND_TRIES_S
    while True:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
            # Inherited by accepted sockets: asyncio sets it only if it knows the protocol, and
            # an answer in two writes would wait for the client's delayed acknowledgement.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return listening
        except OSError as error:
            if isinstance(error, socket.gaierror) or time.monotonic() >= until:
                raise SettingsError(
                    f"Cannot listen on {host} port {port} ({error.strerror or error}).",
                    field=field,
                    remedy="Another process may use it: choose another port, or 0 for a free one.",
                ) from error
        time.sleep(BIND_RETRY_S)


def address(listening: socket.socket, scheme: str = "http") -> str:
    """Return the URL at which a socket is reached from this machine."""
    host, port = listening.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound to
        host = "localhost"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process handles signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    app: Callable[..., Any],
    listening: socket.socket,
    stop: asyncio.Event,
    *,
    drain_s: float,
    **options: Any,
) -> None:
    """Serve until ``stop``; then accept no more requests, and finish the others within ``drain_s``.

    ``options`` are uvicorn's; an app with WebSockets passes those of its protocol.
    """
    server = _Server(_config(app, drain_s, options))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving


@contextlib.asynccontextmanager
async def serving(
    app: Callable[..., Any], listening: socket.socket, **options: Any
) -> AsyncIterator[None]:
    """Serve for as long as the block runs. For clients in the block: at its end they are gone.

    Nothing is drained, so it ends at once: what is still open then is cut. ``options`` are
    uvicorn's, as for `serve`.
    """
    config = _config(app, 0.0, options)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listening])
    state = server.server_state
    try:
        yield
    finally:
        for accepting in server.servers:
            accepting.close()
        for connection in list(state.connections):
            connection.shutdown()
        left = list(state.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _config(app: Callable[..., Any], drain_s: float, options: Mapping[str, Any]) -> uvicorn.Config:
    allow_connections()
    return uvicorn.Config(
        app,
        http=BoundedHttp,
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(drain_s),
        **options,
    )
