"""The two reads that are asked for most, on a short way.

FastAPI takes about 150 µs to find a route and to read its parameters: as long as the database
takes to answer. What is asked in the ordinary way is read here, by the same models, and handed to
the same operations. Everything else goes on to FastAPI, which also says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from triptych.api import assets
from triptych.api.http.dependencies import ApiContext
from triptych.api.requests import AssetsAsked
from triptych.errors import TriptychError
from triptych.messages import check_brand
from triptych.snapshots.asset_ids import read_asset_id

QUERY_MAX_BYTES = 2048
"""A longer query is nothing ordinary."""


class Read(NamedTuple):
    """An operation that takes something from its path, and a query."""

    route: APIRoute
    place: Callable[[str], Any]
    """Reads what the path names, or raises."""
    query: type[BaseModel]


class Direct:
    """Answers the ordinary among the most frequent reads; hands all other requests on."""

    def __init__(self, app: ASGIApp, context: ApiContext, prefix: str) -> None:
        self._app = app
        self._context = context
        self._prefix = prefix
        self._reads = [
            Read(_route(operation), place, query)
            for operation, place, query in (
                (assets.list_assets, check_brand, AssetsAsked),
                (assets.get_asset, read_asset_id, assets.AssetAsked),
            )
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        found = self._ordinary(scope) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        read, place, asked = found
        scope["route"] = read.route
        answer = await read.route.endpoint(self._context, place, asked)
        await answer(scope, receive, send)

    def _ordinary(self, scope: Scope) -> tuple[Read, Any, BaseModel] | None:
        """Return what is asked, if it is one of the reads and all of it is well-formed."""
        path, raw = scope["path"], scope["query_string"]
        if scope["method"] != "GET" or not path.startswith(self._prefix) or not path.isascii():
            return None
        rest = path.removeprefix(self._prefix)
        for read in self._reads:
            if named := read.route.path_regex.match(rest):
                break
        else:
            return None
        if len(raw) > QUERY_MAX_BYTES:
            return None
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True)
        asked = dict(pairs)
        if len(asked) < len(pairs):
            return None
        try:
            return read, read.place(named[1]), read.query.model_validate(asked)
        except (TriptychError, ValidationError):
            return None


def _route(operation: Callable[..., Any]) -> APIRoute:
    routes = (route for route in assets.router.routes if isinstance(route, APIRoute))
    return next(route for route in routes if route.endpoint is operation)
