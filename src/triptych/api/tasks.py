"""Tasks: what was submitted; and who submitted it."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from triptych.api.http import responses as answers
from triptych.api.http.auth import HttpReader, Operating
from triptych.api.http.dependencies import Context
from triptych.api.http.paging import from_age, to_age
from triptych.api.http.problems import documented
from triptych.api.requests import PageAsked
from triptych.api.schemas import AuditShown, IdentityShown, Page, TaskShown
from triptych.errors import InvalidCursor, TaskNotFound
from triptych.tasks.task_store import KeptAudit

router = APIRouter(tags=["tasks"])


@router.get(
    "/tasks",
    response_model=Page[TaskShown],
    summary="List tasks, newest first",
    responses=documented(InvalidCursor),
)
async def list_tasks(context: Context, asked: Annotated[PageAsked, Query()]) -> answers.Json:
    """What was submitted in the last 30 days."""
    before = to_age(context.cursors.read("tasks", asked))
    found = await context.stores.tasks.tasks_slice(before=before, limit=asked.limit)
    following = context.cursors.write("tasks", asked, from_age(found.next))
    return answers.page(found.rows, answers.task, following)


@router.get(
    "/tasks/{task}",
    response_model=TaskShown,
    summary="Show a task",
    responses=documented(TaskNotFound),
)
async def get_task(context: Context, task: UUID) -> answers.Json:
    """One task as it stands: what it opened or changed is its `run`."""
    return answers.Json(answers.task(await context.stores.tasks.task(task)))


@router.get(
    "/audit",
    response_model=Page[AuditShown],
    summary="List what operators did, newest first",
    responses=documented(InvalidCursor, 403),
)
async def list_audit(
    context: Context, _operator: Operating, asked: Annotated[PageAsked, Query()]
) -> answers.Json:
    """Who did what, to what, with which request."""
    position = context.cursors.read("audit", asked)
    found = await context.stores.tasks.audit_slice(
        before=position[0] if position else None, limit=asked.limit
    )

    def show(kept: KeptAudit) -> dict[str, Any]:
        return {
            "id": kept.id,
            "at": kept.at,
            "actor": kept.event.actor,
            "action": kept.event.action,
            "target": kept.event.target,
            "detail": kept.event.detail,
        }

    following = None if found.next is None else [found.next]
    return answers.page(found.rows, show, context.cursors.write("audit", asked, following))


@router.get("/me", response_model=IdentityShown, summary="Show who asks")
async def get_me(identity: HttpReader) -> answers.Json:
    """The identity that this request has, and its scope."""
    return answers.Json({"name": identity.name, "scope": identity.scope})
