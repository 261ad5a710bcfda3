"""Operations: FastAPI reads the types of those that are asked for, and of no others."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from triptych.api.app import create_app
from triptych.api.http.operations import OperationRoute


def test_only_the_operation_that_is_asked_for_is_made() -> None:
    app = create_app(None)
    routes = [route for route in app.router.routes if isinstance(route, OperationRoute)]
    assert len(routes) > 70
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/healthz",
        "headers": [],
        "query_string": b"",
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 200
    assert orjson.loads(sent[1]["body"]) == {"status": "ok"}
    assert [route.path for route in routes if "made" in vars(route)] == ["/healthz"]


def test_a_description_has_every_operation() -> None:
    app = create_app(None)
    described = {
        (path, method.upper())
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    declared = {
        (route.path, method)
        for route in app.router.routes
        if isinstance(route, OperationRoute) and route.made.include_in_schema
        for method in route.methods or ()
    }
    assert described == declared
