"""Authentication of every HTTP request, and the headers of every response."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from triptych.access.access_store import Scope as Right
from triptych.access.authenticator import Authenticator
from triptych.access.identity import Identity
from triptych.api.http import problems
from triptych.api.http.brand_limit import BrandLimit
from triptych.errors import Forbidden, TriptychError
from triptych.messages import HEADER_TRACE, well_formed_trace
from triptych.snapshots.search_service import IMAGE_MAX_BYTES
from triptych.telemetry.metrics import HTTP_SECONDS
from triptych.telemetry.tracing import span

PUBLIC = frozenset({"/healthz", "/readyz"})
"""Health checks of load balancers, which have no key and use an IP address as host. Their
answers reveal little."""

BODY_MAX_BYTES = 256 * 1024
"""Largest body of a request."""
BODIES_MAX_BYTES = {("POST", "/api/v1/search"): IMAGE_MAX_BYTES}
"""Largest body of requests that send an image, by method and path."""
STREAMED = frozenset({("POST", "/api/v1/uploads")})
"""Requests whose body is not held in memory: their operations bound it, by a setting."""

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
NO_STORE = (b"cache-control", b"no-store")


class AuthMiddleware:
    """Authenticates each request first, and turns every later error into a problem response.

    WebSockets pass through: their app uses the same authenticator and refuses in its own way.
    ``is_page`` returns whether a path is the dashboard's, which needs no key.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        brand_limit: BrandLimit,
        is_page: Callable[[str], bool],
    ) -> None:
        self._app = app
        self._brand_limit = brand_limit
        self._is_page = is_page
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        begun = time.perf_counter()
        operation = scope["method"], scope["path"]
        most = left = BODIES_MAX_BYTES.get(operation, BODY_MAX_BYTES)
        bounded = operation not in STREAMED

        async def receiving() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if bounded and left < 0:
                raise HTTPException(413, f"A request has at most {most} bytes.")
            return message

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _with_ours(message["headers"])}
            await send(message)

        try:
            if self._is_page(scope["path"]):
                self._authenticator.admit_anybody(scope)
            elif scope["path"] not in PUBLIC:
                await self._admit(scope)
            with span(f"{scope['method']} {scope['path']}", _trace(scope)):
                await self._app(scope, receiving, sending)
        except Exception as error:
            if status:
                raise  # The response has begun, so the connection must be cut.
            answer = (
                problems.from_error(error)
                if isinstance(error, TriptychError)
                else problems.unexpected(error)
            )
            await answer(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            taken = time.perf_counter() - begun
            HTTP_SECONDS.labels(scope["method"], route, str(status)).observe(taken)

    async def _admit(self, scope: Scope) -> None:
        identity = await self._authenticator.admit(scope)
        scope["identity"] = identity
        scope["refusals"] = self._authenticator.refusals
        try:
            await self._brand_limit.check(identity, scope)
        except Forbidden as error:
            self._authenticator.refusals.note(error, scope, identity.name)
            raise


def _trace(scope: Scope) -> str | None:
    """Return the trace that a request names, if any."""
    given = dict(scope["headers"]).get(HEADER_TRACE.encode())
    return well_formed_trace(given.decode("latin-1")) if given else None


def _with_ours(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    if any(name == b"cache-control" for name, _ in headers):
        return [*headers, *HEADERS]
    return [*headers, *HEADERS, NO_STORE]


async def asking(request: Request) -> Identity:
    """Return the identity of the request."""
    identity: Identity = request.scope["identity"]
    return identity


async def operating(request: Request) -> Identity:
    """Return the identity of the request if it is an operator.

    Raises:
        Forbidden: it is a reader.
    """
    identity = await asking(request)
    try:
        identity.require(Right.OPERATOR)
    except Forbidden as error:
        request.scope["refusals"].note(error, request.scope, identity.name)
        raise
    return identity


HttpReader = Annotated[Identity, Depends(asking)]
Operating = Annotated[Identity, Depends(operating)]
