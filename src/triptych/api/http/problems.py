"""Problem details (RFC 9457): one format for Triptych's, FastAPI's and unexpected errors."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from http import HTTPStatus
from itertools import chain
from typing import Any
from uuid import uuid4

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Described
from starlette.exceptions import HTTPException

from triptych.errors import (
    BadInput,
    RunActive,
    SourceUnavailable,
    TooManyRequests,
    TriptychError,
    Unauthenticated,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:triptych:problem:"
UNAVAILABLE_RETRY_S = 2
DETAIL_MAX_CHARS = 500

log = structlog.get_logger(__name__)


class Problem(BaseModel):
    """What went wrong, in the format of RFC 9457."""

    model_config = ConfigDict(extra="forbid")

    type: str = Described(description="`urn:triptych:problem:` followed by the reason.")
    title: str
    status: int
    detail: str
    reason: str = Described(description="For programs: the same for all problems of one type.")
    field: str | None = Described(None, description="The part of the request that is wrong.")
    remedy: str | None = Described(None, description="What to do about it.")
    run: str | None = Described(None, description="The run that is in the way.")
    source: str | None = Described(
        None, description="That run's source, if it is another than was asked for."
    )
    instance: str | None = Described(
        None, description="The id of this occurrence, under which the server's log has details."
    )


def problem(
    status: int,
    reason: str,
    title: str,
    detail: str,
    *,
    field: str | None = None,
    remedy: str | None = None,
    instance: str | None = None,
    headers: Mapping[str, str] | None = None,
    active: RunActive | None = None,
) -> Response:
    """Return a problem as a response."""
    body: dict[str, Any] = {
        "type": f"{TYPE_PREFIX}{reason}",
        "title": title,
        "status": status,
        "detail": detail[:DETAIL_MAX_CHARS],
        "reason": reason,
    }
    optional = {"field": field, "remedy": remedy, "instance": instance}
    if active is not None:
        run_id = None if active.run_id is None else str(active.run_id)
        optional |= {"run": run_id, "source": active.source}
    body |= {name: value for name, value in optional.items() if value is not None}
    return Response(orjson.dumps(body), status, headers, media_type=MEDIA_TYPE)


def from_error(error: TriptychError) -> Response:
    """Return the response for one of Triptych's errors, with the error's type and status."""
    headers: dict[str, str] = {}
    if isinstance(error, TooManyRequests | SourceUnavailable) and error.retry_after_s:
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    elif isinstance(error, Unavailable):
        headers["Retry-After"] = str(UNAVAILABLE_RETRY_S)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, Unavailable):
        return unexpected(error)
    title = (type(error).__doc__ or "").splitlines()[0]
    return problem(
        error.status,
        error.problem(),
        title,
        _printable(error.message),
        field=error.field if isinstance(error, BadInput) else None,
        remedy=error.remedy,
        headers=headers,
        active=error if isinstance(error, RunActive) else None,
    )


def unexpected(error: Exception) -> Response:
    """Return the response for a defect: it reveals only an id that the log also has."""
    instance = f"urn:uuid:{uuid4()}"
    log.error("api_defect", instance=instance, exc_info=error)
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal",
        "Internal error.",
        "The request failed because of a defect in Triptych.",
        remedy="Report the instance to the operator: the server's log has the trace under it.",
        instance=instance,
    )


def install(
    app: FastAPI, methods: Callable[[], Sequence[tuple[re.Pattern[str], Collection[str]]]]
) -> None:
    """Make the app answer every error with a problem. ``methods`` returns those of each path.

    They are needed for ``Allow``: each of a path's routes knows only its own method.
    """
    app.state.methods = methods
    app.add_exception_handler(TriptychError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _ours(_request: Request, error: Exception) -> Response:
    assert isinstance(error, TriptychError)
    return from_error(error)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place, *names = first["loc"]
    if first["type"] == "json_invalid":
        names = []  # They would be a position in the text.
    field = ".".join(str(part) for part in names) or str(place)
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid-request",
        "The request is not valid.",
        _printable(str(first["msg"])),
        field=_printable(field),
        remedy="See the API's description at /api/v1/openapi.json.",
    )


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        url = request.url.path
        found = [
            (path, names) for path, names in request.app.state.methods() if path.fullmatch(url)
        ]
        # `/runs/bulk` is also what `/runs/{run}` matches, and no run.
        own = [names for path, names in found if path.pattern == url]
        headers["Allow"] = ", ".join(sorted({*chain(*(own or [names for _, names in found]))}))
    return problem(
        status,
        status.phrase.lower().replace(" ", "-"),
        f"{status.phrase}.",
        _printable(str(error.detail)),
        headers=headers,
    )


def _printable(text: str) -> str:
    """Return text that is safe in JSON and logs, whatever it quotes from the request."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:DETAIL_MAX_CHARS])


def documented(*errors: type[TriptychError] | int) -> dict[int | str, dict[str, Any]]:
    """Describe an operation's own problems for OpenAPI, in addition to the common ones."""
    wanted: dict[int, set[str]] = {}
    for error in errors:
        status = error if isinstance(error, int) else error.status
        title = HTTPStatus(status).phrase if isinstance(error, int) else _first_line(error)
        wanted.setdefault(status, set()).add(title)
    return {status: _described(sorted(titles)) for status, titles in sorted(wanted.items())}


def _first_line(error: type[TriptychError]) -> str:
    return (error.__doc__ or "").splitlines()[0]


def _described(titles: Sequence[str]) -> dict[str, Any]:
    return {
        "description": " ".join(titles),
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}},
    }
