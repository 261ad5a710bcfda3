"""Tasks: what was submitted, and by whom."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import Query

from triptych.access.access_store import Scope
from triptych.api.http.auth import HttpReader, Operating
from triptych.api.http.dependencies import Context
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.paging import from_age, to_age
from triptych.api.http.problems import documented
from triptych.api.http.request_models import PageAsked
from triptych.api.http.responses import Json
from triptych.errors import InvalidCursor, TaskNotFound
from triptych.runs.run_shown import shown_source
from triptych.tasks.task_store import KeptAudit, Task
from triptych.wire import Page, Wire

router = ResourceRouter("tasks")


class IdentityShown(Wire, frozen=True):
    """The identity of a request."""

    name: str
    scope: Scope
    brands: list[str] | None
    """The only brands that it may read or change; null: all."""
    expires_at: datetime | None
    """When its key expires; null: never, or it is no key."""


@router.get(
    "/tasks",
    response_model=Page[Task],
    summary="List tasks, newest first",
    responses=documented(InvalidCursor),
)
async def list_tasks(context: Context, asked: Annotated[PageAsked, Query()]) -> Json:
    """The tasks that were submitted in the last 30 days."""
    before = to_age(context.cursors.read("tasks", asked))
    found = await context.stores.tasks.tasks_slice(before=before, limit=asked.limit)
    following = context.cursors.write("tasks", asked, from_age(found.next))
    return Json(Page(list(found.rows), following))


@router.get(
    "/tasks/{task}",
    response_model=Task,
    summary="Show a task",
    responses=documented(TaskNotFound),
)
async def get_task(context: Context, task: UUID) -> Json:
    """A task's current state. `run` is the run that it opened or changed."""
    return Json(await context.stores.tasks.task(task))


@router.get(
    "/audit",
    response_model=Page[KeptAudit],
    summary="List what operators did, newest first",
    responses=documented(InvalidCursor, 403),
)
async def list_audit(
    context: Context, _operator: Operating, asked: Annotated[PageAsked, Query()]
) -> Json:
    """Each entry names the identity, the action, its target and the request."""
    position = context.cursors.read("audit", asked)
    found = await context.stores.tasks.audit_slice(
        before=position[0] if position else None, limit=asked.limit
    )
    following = None if found.next is None else [found.next]
    items = [audit_shown(each) for each in found.rows]
    return Json(Page(items, context.cursors.write("audit", asked, following)))


def audit_shown(entry: KeptAudit) -> KeptAudit:
    """Return an entry with its source as it is shown: older versions have kept it whole."""
    request = entry.detail.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("source"), str):
        return entry
    shown = {**request, "source": shown_source(request["source"])}
    return msgspec.structs.replace(entry, detail={**entry.detail, "request": shown})


@router.get("/me", response_model=IdentityShown, summary="Show the request's identity")
async def get_me(identity: HttpReader) -> Json:
    """The identity that this request is authenticated as, its scope, and the limits of its key."""
    brands = None if identity.brands is None else sorted(identity.brands)
    return Json(IdentityShown(identity.name, identity.scope, brands, identity.expires_at))
