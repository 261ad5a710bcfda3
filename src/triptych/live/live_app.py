"""The ASGI application for ``/ws``, with health checks and metrics for a process of its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from triptych import __version__
from triptych.access.access_store import Scope as Right
from triptych.access.authenticator import Authenticator
from triptych.access.identity import LOCAL, Identity
from triptych.errors import TooManyRequests, Unavailable
from triptych.live.connection import TRY_AGAIN_LATER, UNAUTHORIZED, Receive, Send, Session
from triptych.live.handshake import Refusal, Scope, admitted
from triptych.live.hub import Hub, LiveStores
from triptych.live.limits import PING_S, RECHECK_S, RETRY_MAX_S, Limits
from triptych.live.protocol import SUBPROTOCOL, Hello, dump
from triptych.queues.queue import Queue
from triptych.runtime.cancellation import cancel_on_failure
from triptych.telemetry.metrics import CONTENT_TYPE, exposition

PATH = "/ws"
METRICS_PATH = "/metrics"
CLOSE_EXTENSION = "triptych.close"
"""ASGI extension by which a server can close a connection whose client does not read: a function
of code and reason."""
WRITE_EXTENSION = "triptych.write"
"""ASGI extension by which a server can write a frame to a client that is ready for it, at less
than half the cost of an ASGI message: a function of the frame's bytes that returns whether it was
written."""
SLOW_CHECK_S = 1.0

_FULL = Refusal(503, "This server cannot take more clients.", "Try again later.")
_MANY = Refusal(429, "Your key or account has too many connections here.", "Close some of them.")
_UNKNOWN = Refusal(400, "No known protocol was offered.", f"Offer {SUBPROTOCOL}, or none.")
_NO_PATH = Refusal(404, "There is nothing here.", f"Connect to {PATH}.")


@dataclass(slots=True)
class _Client:
    scope: Scope
    """Of its handshake, whose headers are looked at again."""
    identity: Identity
    close: Callable[[int, str], None] | None
    """`CLOSE_EXTENSION`, until it was used."""


class LiveApp:
    """Live status as an ASGI application. `open_live_app` opens a running one."""

    def __init__(self, hub: Hub, authenticator: Authenticator) -> None:
        self.hub = hub
        self._authenticator = authenticator
        self._sessions: dict[Session, _Client] = {}
        self._clients_of: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection or request."""
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, send)

    async def watch_slow(self) -> None:
        """Close connections whose clients leave frames unread for too long, until cancelled."""
        slow_s = self.hub.limits.slow_s
        while True:
            await asyncio.sleep(min(SLOW_CHECK_S, slow_s))
            before = asyncio.get_running_loop().time() - slow_s
            for session, client in list(self._sessions.items()):
                if session.sending_since is not None and session.sending_since < before:
                    self.hub.counters.slow += 1
                    close, client.close = client.close, None
                    if close is not None:
                        close(TRY_AGAIN_LATER, "too slow")
                    else:
                        session.abandon()

    async def watch_identities(self) -> None:
        """Close connections whose key was revoked, or whose token has expired, until cancelled."""
        while True:
            await asyncio.sleep(RECHECK_S)
            for session, client in list(self._sessions.items()):
                # It lets others run: a signature takes 0.1 ms, and there may be thousands.
                await asyncio.sleep(0)
                try:
                    name = client.identity.name
                    valid = await self._authenticator.still_admits(client.scope, name)
                except Unavailable:
                    continue  # It is asked again; until then what was true is taken to be.
                if not valid:
                    session.end(UNAUTHORIZED, "this key or token is no longer valid")

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        identity = await self._admitted(scope)
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        if isinstance(identity, Refusal):
            self.hub.counters.refused += 1
            await _refuse(scope, send, identity)
            return
        offered = SUBPROTOCOL in scope.get("subprotocols", ())
        accept = {"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None}
        extensions = scope.get("extensions", {})
        session = Session(
            self.hub,
            receive,
            send,
            extensions.get(WRITE_EXTENSION),
            operator=identity.scope is Right.OPERATOR,
            brands=identity.brands,
        )
        limits = self.hub.limits
        hello = Hello(
            server=__version__,
            ping_s=PING_S,
            subscriptions=limits.subscriptions,
            frames_per_s=limits.frames_per_s,
        )
        session.reply(dump(hello))
        self._sessions[session] = _Client(scope, identity, extensions.get(CLOSE_EXTENSION))
        self._clients_of[identity.name] += 1
        self.hub.counters.clients = len(self._sessions)
        try:
            await send(accept)
            await session.serve()
        finally:
            del self._sessions[session]
            self._clients_of[identity.name] -= 1
            if not self._clients_of[identity.name]:
                del self._clients_of[identity.name]
            self.hub.counters.clients = len(self._sessions)

    async def _admitted(self, scope: Scope) -> Identity | Refusal:
        if scope["path"] != PATH:
            return self._nowhere(scope)
        identity = await admitted(self._authenticator, scope)
        if isinstance(identity, Refusal):
            return identity
        offered = scope.get("subprotocols", ())
        ours = [name for name in offered if name.startswith("triptych.v")]
        if ours and SUBPROTOCOL not in ours:
            return _UNKNOWN
        limits = self.hub.limits
        if identity != LOCAL and self._clients_of[identity.name] >= limits.clients_each:
            error = TooManyRequests(_MANY.reason, retry_after_s=RETRY_MAX_S)
            self._authenticator.refusals.note(error, scope, identity.name)
            return _MANY
        return _FULL if len(self._sessions) >= limits.clients else identity

    def _nowhere(self, scope: Scope) -> Refusal:
        """Refuse a connection to another path, before anything is asked about who it is of.

        All of them share one rate, since no client has a reason to ask.
        """
        try:
            self._authenticator.admit_nowhere(scope)
        except TooManyRequests as error:
            return Refusal(error.status, error.message, error.remedy)
        return _NO_PATH

    async def _answer(self, scope: Scope, send: Send) -> None:
        if scope["path"] == METRICS_PATH:
            await self._answer_metrics(scope, send)
            return
        ready = {"/healthz": True, "/readyz": self.hub.listening}.get(scope["path"])
        if ready is None:
            await _respond(send, "http.response", 404, _problem(_NO_PATH))
            return
        body = orjson.dumps({"status": "ok" if ready else "not listening to the database"})
        await _respond(send, "http.response", 200 if ready else 503, body)

    async def _answer_metrics(self, scope: Scope, send: Send) -> None:
        identity = await admitted(self._authenticator, scope)
        if isinstance(identity, Refusal):
            await _respond(send, "http.response", identity.status, _problem(identity))
        else:
            await _respond(send, "http.response", 200, exposition(), CONTENT_TYPE)


async def _refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    if "websocket.http.response" in scope.get("extensions", {}):
        await _respond(send, "websocket.http.response", refusal.status, _problem(refusal))
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.reason})


async def _respond(
    send: Send, kind: str, status: int, body: bytes, media_type: str | None = None
) -> None:
    media_type = media_type or ("application/problem+json" if status >= 400 else "application/json")
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


def _problem(refusal: Refusal) -> bytes:
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": refusal.reason,
        "status": refusal.status,
    }
    if refusal.remedy is not None:
        problem["remedy"] = refusal.remedy
    return orjson.dumps(problem)


@asynccontextmanager
async def open_live_app(
    stores: LiveStores, queue: Queue, *, authenticator: Authenticator, limits: Limits
) -> AsyncIterator[LiveApp]:
    """Yield the application with its hub running; an error of the hub interrupts the body.

    Raises:
        DatabaseUnavailable: the database cannot be reached at the start.
    """
    hub = Hub(stores, queue, limits)
    await hub.look_for_stalled()  # What a command asks its own server at once.
    app = LiveApp(hub, authenticator)
    working = asyncio.create_task(_work(app))
    try:
        async with cancel_on_failure(working):
            yield app
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _work(app: LiveApp) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(app.hub.run())
        group.create_task(app.watch_slow())
        group.create_task(app.watch_identities())
