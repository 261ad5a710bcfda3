"""Operations: the API's paths and methods. FastAPI reads the types of each at its first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True, eq=False)
class ResourceOperation:
    """A path and its method, the function that answers, and how FastAPI describes it."""

    path: str
    endpoint: Callable[..., Any]
    methods: frozenset[str]
    is_described: bool
    """False: it is another way to one that is described."""
    options: Mapping[str, Any]
    """Of `fastapi.APIRouter.add_api_route`."""

    def route(self, prefix: str = "") -> APIRoute:
        """Return FastAPI's route. It takes a hundredth of a second of CPU time to make."""
        router = APIRouter(generate_unique_id_function=_name)
        router.add_api_route(prefix + self.path, self.endpoint, **self.options)
        (made,) = router.routes
        assert isinstance(made, APIRoute)
        return made


def _name(route: APIRoute) -> str:
    return route.name


class ResourceRouter(APIRouter):
    """The operations of a resource, declared with the decorators that FastAPI's own router has."""

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.operations: list[ResourceOperation] = []
        self._tag = tag

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Add an operation. The decorators call this."""
        options["tags"] = [self._tag, *(options.get("tags") or ())]
        methods = frozenset(options.get("methods") or ("GET",))
        described = options.get("include_in_schema", True)
        self.operations.append(ResourceOperation(path, endpoint, methods, described, options))


class OperationRoute(Route):
    """Serves an operation. Its FastAPI route is made at the first request or description.

    A command on a private server asks for one or two of eighty: making them all would take longer
    than everything else that it does.
    """

    def __init__(self, operation: ResourceOperation, prefix: str) -> None:
        super().__init__(prefix + operation.path, operation.endpoint)
        # Without HEAD, which Starlette adds and the API does not support.
        self.methods = set(operation.methods)
        self._operation = operation
        self._prefix = prefix

    @cached_property
    def made(self) -> APIRoute:
        """FastAPI's route."""
        return self._operation.route(self._prefix)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether it serves a request; metrics are kept by the path without the prefix."""
        match, child_scope = super().matches(scope)
        if match != Match.NONE:
            child_scope["route"] = self._operation
        return match, child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as FastAPI does."""
        await self.made.handle(scope, receive, send)
