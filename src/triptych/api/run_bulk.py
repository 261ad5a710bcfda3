"""One action on many runs: each run has its own outcome, and its own entry in the audit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from fastapi import Request
from msgspec import Meta
from pydantic import Field
from starlette.exceptions import HTTPException

from triptych.api.http.auth import Operating
from triptych.api.http.dependencies import Context
from triptych.api.http.idempotency import IdempotencyKey, Operation, Outcome, accept_once
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.request_models import BrandText, Given
from triptych.api.http.responses import Json
from triptych.api.steering import REDRIVE, RedriveGiven, redrive_once, steer_once
from triptych.errors import BrandNotFound, Conflict, TriptychError
from triptych.model import Run
from triptych.tasks.task_store import Task, TaskState
from triptych.wire import Wire

BULK_RUNS_MAX = 100
"""Runs, and brands, that one request names at most."""
BULK_PATIENCE_S = 45.0
"""A request begins with no further run after this time: the answer names those that are left. Less
than `STALE_S` of `api.http.idempotency`, after which a repetition would do the same beside it."""
NOT_REACHED = "not-reached"

router = ResourceRouter("operations")

BulkAction = Literal["pause", "resume", "cancel", "redrive", "publish", "discard"]


class BulkGiven(Given):
    """What to do, and to which runs."""

    action: BulkAction
    runs: Annotated[
        list[Annotated[UUID, Field(strict=False)]],
        Field(default_factory=list, max_length=BULK_RUNS_MAX, description="Ids of runs."),
    ]
    brands: Annotated[
        list[BrandText],
        Field(
            default_factory=list,
            max_length=BULK_RUNS_MAX,
            description="Brands, of each of which the newest run.",
        ),
    ]


class BulkOutcome(Wire, frozen=True):
    """What became of one run of the request."""

    run: Annotated[UUID | None, Meta(description="Null: the brand has no run.")]
    brand: Annotated[str | None, Meta(description="Null: there is no such run.")]
    done: bool
    task: Annotated[UUID | None, Meta(description="Null unless it was done.")] = None
    opened: Annotated[UUID | None, Meta(description="The new run, of a `redrive`.")] = None
    reason: Annotated[
        str | None, Meta(description="Why it was refused, as problems name it; null if done.")
    ] = None
    detail: str | None = None
    remedy: str | None = None


class BulkResult(Wire, frozen=True):
    """What became of the runs, in the order in which the request names them."""

    task: UUID
    action: str
    done: int
    refused: int
    items: list[BulkOutcome]


@dataclass(frozen=True, slots=True)
class _Target:
    """A run as the request names it: by its id or by its brand."""

    run_id: UUID | None = None
    brand: str | None = None


@router.post(
    "/runs/bulk",
    response_model=BulkResult,
    summary="Steer many runs",
    responses=documented(Conflict),
)
async def steer_runs(
    request: Request,
    context: Context,
    identity: Operating,
    body: BulkGiven,
    key: IdempotencyKey = None,
) -> Json:
    """Do one thing to each of them, as if asked for one by one; a refusal does not stop the others.

    A run that is named twice is steered once. With a key that is limited to brands, runs of other
    brands are refused.
    """
    until = asyncio.get_running_loop().time() + BULK_PATIENCE_S
    kind = f"bulk_{body.action}"
    whole = Operation(request, context, identity, key, kind, "runs", body=body)

    async def work(made: UUID) -> Outcome:
        outcomes: list[BulkOutcome] = []
        seen: set[UUID] = set()
        for target in _targets(body):
            if asyncio.get_running_loop().time() >= until:
                outcomes.append(_not_reached(target))
            elif (outcome := await _steer(whole, body.action, target, made, seen)) is not None:
                outcomes.append(outcome)
        return Outcome(TaskState.DONE, result={"items": msgspec.to_builtins(outcomes)})

    return Json(_result(body.action, await accept_once(whole, work)))


def _targets(body: BulkGiven) -> Sequence[_Target]:
    runs = [_Target(run_id=run) for run in dict.fromkeys(body.runs)]
    return [*runs, *(_Target(brand=brand) for brand in dict.fromkeys(body.brands))]


@router.get("/runs/bulk", include_in_schema=False)
async def refuse_read() -> None:
    """Refuse what would else be taken for a run of that name.

    Raises:
        HTTPException: always, with the status 405.
    """
    raise HTTPException(405)


async def _steer(
    whole: Operation, action: BulkAction, target: _Target, made: UUID, seen: set[UUID]
) -> BulkOutcome | None:
    """Do the action to one run; return what became of it, or None if it was steered before.

    It is an operation of its own, with a key that is derived from the whole one's: if that is
    repeated after a crash, what was done is found done.
    """
    run: Run | None = None
    try:
        run = await _find(whole, target)
        if run.id in seen:
            return None
        seen.add(run.id)
        whole.identity.require_brands({run.brand})
        one = Operation(
            whole.request,
            whole.context,
            whole.identity,
            f"bulk/{made}/{run.id}",
            action,
            f"run:{run.id}",
            run.brand,
        )
        if action == REDRIVE:
            task = await redrive_once(one, run.id, RedriveGiven())
            return BulkOutcome(run.id, run.brand, True, task.id, opened=task.run_id)
        task = await steer_once(one, run.id)
        return BulkOutcome(run.id, run.brand, True, task.id)
    except TriptychError as error:
        return BulkOutcome(
            target.run_id if run is None else run.id,
            target.brand if run is None else run.brand,
            False,
            reason=error.problem(),
            detail=error.message,
            remedy=error.remedy,
        )


async def _find(whole: Operation, target: _Target) -> Run:
    """Return the run that is meant.

    Raises:
        RunNotFound, BrandNotFound: there is none.
        Forbidden: the brand is not one of the caller's.
    """
    stores = whole.context.stores
    if target.brand is None:
        assert target.run_id is not None
        return await stores.runs.run(target.run_id)
    whole.identity.require_brands({target.brand})
    latest = (await stores.brands.brand(target.brand)).latest
    if latest is None:
        raise BrandNotFound(
            f"Brand {target.brand!r} has no run.", remedy="Start one, or leave the brand out."
        )
    return latest


def _not_reached(target: _Target) -> BulkOutcome:
    return BulkOutcome(
        target.run_id,
        target.brand,
        False,
        reason=NOT_REACHED,
        detail=f"The request had lasted {BULK_PATIENCE_S:.0f} seconds before it came to this run.",
        remedy="Send another request for the runs that are left.",
    )


def _result(action: str, task: Task) -> BulkResult:
    items = msgspec.convert(task.result["items"], list[BulkOutcome])
    done = sum(item.done for item in items)
    return BulkResult(task.id, action, done, len(items) - done, items)
