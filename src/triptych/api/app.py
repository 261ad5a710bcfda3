"""The API as an ASGI app, and its OpenAPI description."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from triptych.api import (
    assets,
    brand_comparison,
    brand_maps,
    brands,
    content,
    exports,
    facets,
    history,
    items,
    limits,
    pictures,
    run_bulk,
    runs,
    schedules,
    search,
    snapshots,
    sources,
    steering,
    system,
    tasks,
    uploads,
    webhooks,
)
from triptych.api.dashboard import Dashboard, is_page
from triptych.api.http import problems
from triptych.api.http.auth import PUBLIC, AuthMiddleware
from triptych.api.http.brand_limit import BrandLimit
from triptych.api.http.dependencies import ApiContext
from triptych.api.http.operations import OperationRoute, ResourceOperation
from triptych.api.http.problems import Problem

PREFIX = "/api/v1"
LIVE_PATH = "/ws"

ROUTERS = (
    brands.router,
    assets.router,
    facets.router,
    content.router,
    search.router,
    brand_maps.router,
    brand_comparison.router,
    snapshots.router,
    run_bulk.router,  # Its paths come before those with the id of a run.
    runs.router,
    items.router,
    history.router,
    schedules.router,
    pictures.router,
    steering.router,
    items.operations,
    tasks.router,
    exports.router,
    webhooks.router,
    sources.router,
    uploads.router,
    limits.router,
    system.router,
)
SUMMARY = "Immediate answers from the catalogue, and submitted tasks."
EVERYWHERE = problems.documented(400, 401, 403, 408, 413, 421, 422, 429, 431, 500, 503)
"""Problems that any operation may return."""


def create_app(context: ApiContext[Any] | None, live: ASGIApp | None = None) -> FastAPI:
    """Return the app; with ``live``, it also serves that app's WebSockets.

    Without a context it can only be described, which is enough to write the documentation.
    """
    app = FastAPI(
        title="Triptych",
        summary=SUMMARY,
        version=version("triptych"),
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # These pages would load scripts from other sites.
        redoc_url=None,
        redirect_slashes=False,
    )
    for path, read in assets.PLAIN_READS.items():
        route = Route(f"{PREFIX}{path}", read, methods=["GET"], include_in_schema=False)
        route.methods = {"GET"}  # Starlette adds HEAD, which the API's reads do not support.
        app.router.routes.append(route)
    app.router.routes.extend(OperationRoute(each, prefix) for prefix, each in _operations())
    problems.install(app, _methods)
    if live is not None:
        app.router.routes.append(WebSocketRoute(LIVE_PATH, live))
    signed = None if context is None else context.signed_thumbnails
    pages = Dashboard(pictures_at=signed.origin if signed else None)
    app.router.default = _elsewhere(GZipMiddleware(pages), live)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    if context is not None:
        app.state.context = context
        # The outermost middleware: it runs before everything else.
        app.add_middleware(
            AuthMiddleware,
            authenticator=context.authenticator,
            brand_limit=BrandLimit(context.stores),
            is_page=is_page,
        )
    return app


def _elsewhere(pages: ASGIApp, live: ASGIApp | None) -> ASGIApp:
    """Return what answers where no route is: the dashboard's pages, and for WebSockets ``live``.

    It refuses those on any path but its own.
    """

    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await (live or WebSocketClose())(scope, receive, send)
        else:
            await pages(scope, receive, send)

    return elsewhere


def _operations() -> Iterator[tuple[str, ResourceOperation]]:
    """Yield every operation, with what its paths begin with."""
    for router in ROUTERS:
        for operation in router.operations:
            yield PREFIX, operation
    for operation in system.health.operations:
        yield "", operation


@cache
def _methods() -> list[tuple[re.Pattern[str], Collection[str]]]:
    """Return the methods of every operation, each with a pattern that its paths match."""
    return [
        (
            re.compile(prefix + re.sub(r"\{[^}]+\}", "[^/]+", operation.path)),
            operation.methods,
        )
        for prefix, operation in _operations()
        if operation.is_described
    ]


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the app's OpenAPI 3.1 description."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            summary=app.summary,
            version=app.version,
            openapi_version="3.1.0",
            routes=[
                route.made if isinstance(route, OperationRoute) else route for route in app.routes
            ],
        )
        components = schema["components"]
        for unused in ("HTTPValidationError", "ValidationError"):
            components["schemas"].pop(unused, None)
        components["schemas"][Problem.__name__] = Problem.model_json_schema()
        components["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "An API key."}
        }
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                _complete(operation, public=path in PUBLIC)
        app.openapi_schema = schema
    return app.openapi_schema


def _complete(operation: dict[str, Any], *, public: bool) -> None:
    """Add what every operation has: the common problems and the security requirement."""
    answers: dict[str, Any] = operation["responses"]
    for status, answer in EVERYWHERE.items():
        known = answers.get(str(status))
        if known is None or "application/json" in known.get("content", {}):
            answers[str(status)] = answer
    operation["responses"] = dict(sorted(answers.items()))
    if "202" in answers:
        answers["202"]["headers"] = {
            "Location": {
                "description": "The task's URL.",
                "schema": {"type": "string", "format": "uri-reference"},
            }
        }
    operation["security"] = [] if public else [{"key": []}, {}]
