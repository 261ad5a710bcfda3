"""Converting problem details back to errors, so that a client raises what the server raised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any
from uuid import UUID

from triptych import errors
from triptych.errors import (
    BadInput,
    Conflict,
    NotFound,
    RunActive,
    ServerRefused,
    TriptychError,
)


def _kinds(parent: type[TriptychError]) -> Iterator[type[TriptychError]]:
    for kind in parent.__subclasses__():
        yield kind
        yield from _kinds(kind)


KINDS = {
    kind.problem(): kind for kind in _kinds(TriptychError) if kind.__module__ == errors.__name__
}

OTHERS: Mapping[int, type[TriptychError]] = {404: NotFound, 409: Conflict}
"""Of errors that are next to their store, by status: what they are for a client."""


def error_of(status: int, problem: Any) -> TriptychError:
    """Return the error that a problem describes; by its status if its type is unknown."""
    if not isinstance(problem, dict):
        return ServerRefused(f"The server answers {status} {_phrase(status)}.")
    detail = str(problem.get("detail") or problem.get("title") or _phrase(status))
    remedy = problem.get("remedy")
    kind = KINDS.get(str(problem.get("reason"))) or OTHERS.get(status, ServerRefused)
    if issubclass(kind, BadInput):
        return kind(detail, field=str(problem.get("field") or "request"), remedy=remedy)
    if kind is RunActive:
        return RunActive(
            detail, remedy=remedy, run_id=_run_id(problem), source=problem.get("source")
        )
    if kind.__init__ is not TriptychError.__init__:
        kind = ServerRefused  # This error has more fields than a problem carries.
    return kind(detail, remedy=remedy)


def _run_id(problem: dict[str, Any]) -> UUID | None:
    try:
        return UUID(problem["run"])
    except (KeyError, TypeError, ValueError):
        return None  # A server of an older version does not name it.


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(not an HTTP status)"
