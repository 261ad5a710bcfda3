"""Long-running operations: accepted once for each idempotency key, answered with their task."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID, uuid5

import orjson
from fastapi import Header, Request
from pydantic import BaseModel

from triptych.access.identity import Identity
from triptych.api.http.dependencies import ApiContext
from triptych.api.http.responses import Json
from triptych.errors import RequestInProgress
from triptych.model import Metadata
from triptych.sealing.readable import without_secret
from triptych.tasks.task_store import Audit, Claim, Task, TaskState
from triptych.tasks.task_store import Request as TaskRequest

KEPT_S = 24 * 3600.0
"""Seconds for which a repeated idempotency key gets the first answer."""
STALE_S = 60.0
"""Seconds after which a claim that its server has not settled passes to the next request."""
WAIT_S = 5.0
"""Seconds that a second request waits for the first one with its key."""
WAIT_STEP_S = 0.05

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="A repeated request with the same key gets the same answer for 24 hours.",
        examples=["2b7d6c1e-start-nike"],
    ),
]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an operation."""

    state: TaskState
    run_id: UUID | None = None
    result: Metadata = field(default_factory=dict)
    enqueue_work: bool = False
    """Whether a worker does the work."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One request for an operation."""

    request: Request
    context: ApiContext
    identity: Identity
    key: str | None
    kind: str
    target: str
    brand: str | None = None
    body: BaseModel | None = None


async def run_idempotent(operation: Operation, work: Callable[[UUID], Awaitable[Outcome]]) -> Json:
    """Do an operation once per idempotency key (`settle`); return a 202 response with its task."""
    return _accepted(await settle(operation, work))


async def settle(operation: Operation, work: Callable[[UUID], Awaitable[Outcome]]) -> Task:
    """Do an operation once per idempotency key; return its task.

    ``work`` gets an id for what it creates. The id is derived from the request's claim, so a
    repetition after a crash finds what was already created. If ``work`` raises, the error is
    passed on and the key can be used again.

    Raises:
        IdempotencyKeyReused: the key was used for a different request.
        RequestInProgress: the first request with the key has not ended within `WAIT_S`.
    """
    tasks = operation.context.stores.tasks
    claim = await _claim(operation)
    if claim.settled is not None:
        return claim.settled
    try:
        outcome = await work(made_by(claim.task_id))
    except BaseException:
        await asyncio.shield(tasks.drop_claim(claim.task_id))
        raise
    body = operation.body.model_dump(mode="json", exclude_none=True) if operation.body else {}
    task = await tasks.accept_task(
        claim.task_id,
        state=outcome.state,
        run_id=outcome.run_id,
        result=outcome.result,
        audit=Audit(
            operation.identity.name,
            operation.kind,
            operation.target,
            {"task": str(claim.task_id), "request": _without_secrets(body)},
        ),
        enqueue_work=outcome.enqueue_work,
    )
    if outcome.enqueue_work:
        await operation.context.registry.relay(None)
    return task


def made_by(task_id: UUID) -> UUID:
    """Return the id of what a task creates."""
    return uuid5(task_id, "made")


async def _claim(operation: Operation) -> Claim:
    request = TaskRequest(
        operation.kind,
        operation.identity.name,
        operation.brand,
        operation.key,
        _fingerprint(operation),
    )
    tasks = operation.context.stores.tasks
    until = asyncio.get_running_loop().time() + WAIT_S
    while True:
        claim = await tasks.claim_task(request, kept_s=KEPT_S, stale_s=STALE_S)
        if claim.mine or claim.settled is not None:
            return claim
        if asyncio.get_running_loop().time() >= until:
            raise RequestInProgress(remedy="Send the same request again in a moment.")
        await asyncio.sleep(WAIT_STEP_S)


def _fingerprint(operation: Operation) -> bytes:
    body = operation.body.model_dump(mode="json") if operation.body else None
    text = orjson.dumps(
        [operation.request.method, operation.request.url.path, body], option=orjson.OPT_SORT_KEYS
    )
    return hashlib.sha256(text).digest()


def _without_secrets(body: dict[str, Any]) -> dict[str, Any]:
    if "source" in body:
        body = {**body, "source": without_secret(body["source"])}
    if "urls" in body:
        # They may be signed, and there may be a thousand.
        body = {**body, "urls": len(body["urls"])}
    return body


def _accepted(task: Task) -> Json:
    return Json(task, 202, headers={"Location": f"/api/v1/tasks/{task.id}"})
