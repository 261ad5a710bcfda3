"""What operators submit: starting and steering runs, AI again, dead letters again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from fastapi import APIRouter, Request

from triptych.api.http import responses as answers
from triptych.api.http.auth import Operating
from triptych.api.http.dependencies import BrandPath, Context
from triptych.api.http.idempotency import IdempotencyKey, Operation, Outcome, run_idempotent
from triptych.api.http.problems import documented
from triptych.api.requests import LettersGiven, PolicyGiven, RedriveGiven, ReembedGiven, RunGiven
from triptych.api.schemas import TaskShown
from triptych.api.sources import check_source
from triptych.errors import BrandNotFound, Conflict, RunNotFound
from triptych.live.states import AI_TASK
from triptych.model import Policy, Run
from triptych.runs.run_store import Opened
from triptych.tasks.brand_tasks import DELETE
from triptych.tasks.task_store import TaskState

router = APIRouter(tags=["operations"])


@router.post(
    "/brands/{brand}/runs",
    response_model=TaskShown,
    status_code=202,
    summary="Start a run of a brand",
    responses=documented(Conflict),
)
async def start_run(
    request: Request,
    context: Context,
    identity: Operating,
    brand: BrandPath,
    body: RunGiven | None = None,
    key: IdempotencyKey = None,
) -> answers.Json:
    """Open a run; a brand with an active run answers with that one."""
    given = body or RunGiven()
    check_source(context, given.source)

    async def work(made: UUID) -> Outcome:
        opened = await context.registry.open(
            brand,
            source=given.source,
            policy=_policy(given.policy, context.settings.policy),
            run_id=made,
        )
        return _opened(opened, made)

    operation = Operation(request, context, identity, key, "start", f"brand:{brand}", brand, given)
    return await run_idempotent(operation, work)


@router.post(
    "/brands/{brand}/reembed",
    response_model=TaskShown,
    status_code=202,
    summary="Embed a brand's snapshot anew",
    responses=documented(BrandNotFound, Conflict),
)
async def reembed_brand(
    request: Request,
    context: Context,
    identity: Operating,
    brand: BrandPath,
    body: ReembedGiven | None = None,
    key: IdempotencyKey = None,
) -> answers.Json:
    """With the model in force, from the stored objects: nothing is fetched."""
    given = body or ReembedGiven()

    async def work(made: UUID) -> Outcome:
        opened = await context.registry.reembed(
            brand, policy=_policy(given.policy, context.settings.policy), run_id=made
        )
        return _opened(opened, made)

    operation = Operation(
        request, context, identity, key, "reembed", f"brand:{brand}", brand, given
    )
    return await run_idempotent(operation, work)


@router.delete(
    "/brands/{brand}",
    response_model=TaskShown,
    status_code=202,
    summary="Delete a brand",
    responses=documented(BrandNotFound),
)
async def delete_brand(
    request: Request,
    context: Context,
    identity: Operating,
    brand: BrandPath,
    key: IdempotencyKey = None,
) -> answers.Json:
    """Its snapshot is hidden and its active run cancelled at once; a worker removes the rows.

    Objects that nothing else uses follow after `TRIPTYCH_OBJECT_GRACE_S`.
    """

    async def work(_made: UUID) -> Outcome:
        await context.registry.begin_deletion(brand)
        return Outcome(TaskState.ACCEPTED, enqueue_work=True)

    operation = Operation(request, context, identity, key, DELETE, f"brand:{brand}", brand)
    return await run_idempotent(operation, work)


def _opened(opened: Opened, made: UUID) -> Outcome:
    """Answer with the run that was opened, or that was there."""
    result = {"opened": opened.created or opened.run.id == made}
    return Outcome(TaskState.ACCEPTED, opened.run.id, result)


def _policy(given: PolicyGiven | None, default: Policy) -> Policy | None:
    if given is None:
        return None
    values = given.model_dump(exclude_none=True)
    return Policy(
        values.get("tolerated_failures", default.tolerated_failures),
        values.get("max_attempts", default.max_attempts),
        values.get("deadline_s", default.deadline_s),
    )


@router.post(
    "/brands/{brand}/ai",
    response_model=TaskShown,
    status_code=202,
    summary="Run the AI phase of a brand again",
    responses=documented(BrandNotFound, Conflict),
)
async def run_ai(
    request: Request,
    context: Context,
    identity: Operating,
    brand: BrandPath,
    key: IdempotencyKey = None,
) -> answers.Json:
    """Over its present snapshot. While the phase runs, nothing more is started."""

    async def work(_made: UUID) -> Outcome:
        run = await context.registry.run_ai_again(brand)
        return Outcome(TaskState.ACCEPTED, run.id)

    operation = Operation(request, context, identity, key, AI_TASK, f"brand:{brand}", brand)
    return await run_idempotent(operation, work)


@router.post(
    "/runs/{run}/pause",
    response_model=TaskShown,
    status_code=202,
    summary="Pause a run",
    responses=documented(RunNotFound, Conflict),
)
async def pause_run(
    request: Request, context: Context, identity: Operating, run: UUID, key: IdempotencyKey = None
) -> answers.Json:
    """Nothing more is dispatched; what is out settles."""
    operation = Operation(request, context, identity, key, "pause", f"run:{run}")
    return await run_idempotent(operation, _steered(context.registry.pause, run))


@router.post(
    "/runs/{run}/resume",
    response_model=TaskShown,
    status_code=202,
    summary="Resume a paused run",
    responses=documented(RunNotFound, Conflict),
)
async def resume_run(
    request: Request, context: Context, identity: Operating, run: UUID, key: IdempotencyKey = None
) -> answers.Json:
    """Dispatch goes on."""
    operation = Operation(request, context, identity, key, "resume", f"run:{run}")
    return await run_idempotent(operation, _steered(context.registry.resume, run))


@router.post(
    "/runs/{run}/cancel",
    response_model=TaskShown,
    status_code=202,
    summary="Cancel a run",
    responses=documented(RunNotFound, Conflict),
)
async def cancel_run(
    request: Request, context: Context, identity: Operating, run: UUID, key: IdempotencyKey = None
) -> answers.Json:
    """The brand's snapshot stays what it was."""
    operation = Operation(request, context, identity, key, "cancel", f"run:{run}")
    return await run_idempotent(operation, _steered(context.registry.cancel, run))


def _steered(
    steer: Callable[[UUID], Awaitable[Run]], run_id: UUID
) -> Callable[[UUID], Awaitable[Outcome]]:
    async def work(_made: UUID) -> Outcome:
        await steer(run_id)
        return Outcome(TaskState.DONE, run_id)

    return work


@router.post(
    "/runs/{run}/redrive",
    response_model=TaskShown,
    status_code=202,
    summary="Try a run's failed items again",
    responses=documented(RunNotFound, Conflict),
)
async def redrive_run(
    request: Request,
    context: Context,
    identity: Operating,
    run: UUID,
    body: RedriveGiven | None = None,
    key: IdempotencyKey = None,
) -> answers.Json:
    """In a run of their own, which the task names."""
    given = body or RedriveGiven()

    async def work(made: UUID) -> Outcome:
        redriven = await context.registry.redrive(run, new_id=made, reasons=given.reasons)
        return Outcome(TaskState.ACCEPTED, redriven.id)

    operation = Operation(request, context, identity, key, "redrive", f"run:{run}", body=given)
    return await run_idempotent(operation, work)


@router.post(
    "/dead-letters/redrive",
    response_model=TaskShown,
    status_code=202,
    summary="Send dead letters again",
    responses=documented(Conflict),
)
async def redrive_letters(
    request: Request,
    context: Context,
    identity: Operating,
    body: LettersGiven | None = None,
    key: IdempotencyKey = None,
) -> answers.Json:
    """To the queues they came from, each once, as if it had just been written by a stranger.

    Those of an active run are passed over: their items are redriven with that run.
    """
    given = body or LettersGiven()

    async def work(_made: UUID) -> Outcome:
        count = await context.registry.redrive_letters(ids=given.ids, queue=given.queue)
        return Outcome(TaskState.DONE, result={"redriven": count})

    operation = Operation(
        request, context, identity, key, "redrive_letters", "dead-letters", body=given
    )
    return await run_idempotent(operation, work)
