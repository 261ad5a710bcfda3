"""What operators submit: starting and steering runs, repeating AI, redriving dead letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Request
from pydantic import ConfigDict, Field

from triptych.api.http.auth import Operating
from triptych.api.http.dependencies import BrandPath, Context
from triptych.api.http.idempotency import (
    IdempotencyKey,
    Operation,
    Outcome,
    accept_once,
    accepted,
    run_idempotent,
)
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.request_models import Given, Integral
from triptych.api.http.responses import Json
from triptych.api.sources import (
    HAS_SOURCE,
    HAS_URLS,
    SourceText,
    UrlsGiven,
    check_one_given,
    check_source,
    given_urls,
)
from triptych.errors import BrandNotFound, Conflict, RunNotFound, SnapshotCollected
from triptych.messages import QUEUES
from triptych.model import Policy, Reason, Run
from triptych.runs.registry import ActiveBrandRegistry
from triptych.runs.run_store import Opened
from triptych.tasks.brand_tasks import DELETE
from triptych.tasks.task_store import AI_TASK, Task, TaskState

LETTERS_MAX = 1000
ATTEMPTS_MAX = 100
DEADLINE_MAX_S = 7 * 24 * 3600.0
REDRIVE = "redrive"

router = ResourceRouter("operations")

Attempts = Annotated[int, Field(ge=1, le=ATTEMPTS_MAX), Integral]
LetterId = Annotated[int, Field(ge=1, le=2**63 - 1), Integral]


class PolicyGiven(Given):
    """A run's limits; a field that is left out has the value of the settings."""

    tolerated_failures: Annotated[float | None, Field(ge=0, le=1)] = None
    max_removed: Annotated[float | None, Field(ge=0, le=1)] = None
    max_attempts: Attempts | None = None
    deadline_s: Annotated[float | None, Field(gt=0, le=DEADLINE_MAX_S)] = None


class RunGiven(Given):
    """How to start a run."""

    model_config = ConfigDict(json_schema_extra={"not": {"allOf": [HAS_SOURCE, HAS_URLS]}})

    source: Annotated[
        SourceText | None,
        Field(description="`SCHEME:PLACE`, see `GET /sources`; by default the brand's own."),
    ] = None
    urls: UrlsGiven | None = None
    policy: PolicyGiven | None = None
    replace: Annotated[
        bool, Field(description="Cancel an active run of another source or kind first.")
    ] = False


class ReembedGiven(Given):
    """How to embed a brand again."""

    policy: PolicyGiven | None = None


class RedriveGiven(Given):
    """Which failed items of a run to retry; by default those that a retry may help."""

    reasons: Annotated[
        list[Annotated[Reason, Field(strict=False)]] | None,
        Field(
            min_length=1,
            max_length=len(Reason),
            description="Only items that failed for one of these reasons. For committed runs only.",
        ),
    ] = None


class LettersGiven(Given):
    """Which dead letters to send again; without `ids` and `queue`, the oldest 1,000."""

    ids: Annotated[
        list[LetterId] | None,
        Field(min_length=1, max_length=LETTERS_MAX),
    ] = None
    queue: Literal[QUEUES] | None = None  # type: ignore[valid-type]


class LettersDiscarded(Given):
    """Which dead letters to delete."""

    ids: Annotated[list[LetterId], Field(min_length=1, max_length=LETTERS_MAX)]


@router.post(
    "/brands/{brand}/runs",
    response_model=Task,
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
) -> Json:
    """Open a run. If the brand has an active run of the same source, return that one instead.

    If that is of another source, nothing is started: the problem names it and its source. URLs
    are kept as the brand's source, `urls:DIGEST`: a later run, by schedule or not, that names no
    other source takes the same ones again.
    """
    given = body or RunGiven()
    check_one_given(given.source, given.urls)
    trusted = await check_source(request, context, given.source, brand=brand)

    async def work(made: UUID) -> Outcome:
        source = given.source
        if source is not None and trusted:
            # Durable before the run is, as the URLs are.
            await context.stores.brands.trust_source(brand, source)
        if given.urls is not None:
            # Durable before the run is, which may then be gathered by anybody, at any time.
            source = await context.stores.brands.keep_urls(brand, given_urls(given.urls))
        opened = await context.registry.open(
            brand,
            source=source,
            policy=_policy(given.policy, context.settings.policy),
            run_id=made,
            replace=given.replace,
        )
        return _opened(opened, made)

    operation = Operation(request, context, identity, key, "start", f"brand:{brand}", brand, given)
    return await run_idempotent(operation, work)


@router.post(
    "/brands/{brand}/reembed",
    response_model=Task,
    status_code=202,
    summary="Embed a brand's snapshot again",
    responses=documented(BrandNotFound, Conflict),
)
async def reembed_brand(
    request: Request,
    context: Context,
    identity: Operating,
    brand: BrandPath,
    body: ReembedGiven | None = None,
    key: IdempotencyKey = None,
) -> Json:
    """Use the configured model and the stored objects; nothing is downloaded."""
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


@router.post(
    "/brands/{brand}/snapshots/{snapshot}/restore",
    response_model=Task,
    status_code=202,
    summary="Restore a snapshot of a brand",
    responses=documented(BrandNotFound, RunNotFound, SnapshotCollected, Conflict),
)
async def restore_snapshot(
    request: Request,
    context: Context,
    identity: Operating,
    brand: BrandPath,
    snapshot: UUID,
    key: IdempotencyKey = None,
) -> Json:
    """Publish it again: a run makes a new snapshot of the same assets, and repeats the AI phase.

    Nothing is downloaded or embedded again, and the run is never held. `diff/{new}/counts` from the
    current snapshot to this one tells what it will add, change and remove.
    """

    async def work(made: UUID) -> Outcome:
        return _opened(await context.registry.restore(brand, snapshot, run_id=made), made)

    operation = Operation(request, context, identity, key, "restore", f"snapshot:{snapshot}", brand)
    return await run_idempotent(operation, work)


@router.delete(
    "/brands/{brand}",
    response_model=Task,
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
) -> Json:
    """Its snapshot is hidden and its active run cancelled at once; a worker deletes the rows.

    Objects that nothing else uses are deleted after `TRIPTYCH_OBJECT_GRACE_S`.
    """

    async def work(_made: UUID) -> Outcome:
        await context.registry.begin_deletion(brand)
        return Outcome(TaskState.ACCEPTED, enqueue_work=True)

    operation = Operation(request, context, identity, key, DELETE, f"brand:{brand}", brand)
    return await run_idempotent(operation, work)


def _opened(opened: Opened, made: UUID) -> Outcome:
    """Return the outcome for a run that was opened, or that was already active."""
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
        values.get("max_removed", default.max_removed),
    )


@router.post(
    "/brands/{brand}/ai",
    response_model=Task,
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
) -> Json:
    """Repeat it on the current snapshot. If the phase is running, nothing more is started."""

    async def work(_made: UUID) -> Outcome:
        run = await context.registry.run_ai_again(brand)
        return Outcome(TaskState.ACCEPTED, run.id)

    operation = Operation(request, context, identity, key, AI_TASK, f"brand:{brand}", brand)
    return await run_idempotent(operation, work)


Steer = Callable[[ActiveBrandRegistry, UUID], Awaitable[Run]]
STEERING: Mapping[Steer, tuple[str, str]] = MappingProxyType(
    {
        ActiveBrandRegistry.pause: (
            "Pause a run",
            "Dispatch stops; items that were already dispatched still settle.",
        ),
        ActiveBrandRegistry.resume: ("Resume a paused run", "Dispatch continues."),
        ActiveBrandRegistry.cancel: ("Cancel a run", "The brand's snapshot does not change."),
        ActiveBrandRegistry.publish: (
            "Commit a held run",
            "It becomes the brand's snapshot, although it removes much of the one before.",
        ),
        ActiveBrandRegistry.discard: (
            "Discard a held run",
            "It ends as cancelled; the brand's snapshot does not change.",
        ),
    }
)
"""What is done to one run, with its summary and description; the paths have the methods' names."""


def _add_steering(steer: Steer, summary: str, description: str) -> None:
    verb = steer.__name__

    async def steer_run(
        request: Request,
        context: Context,
        identity: Operating,
        run: UUID,
        key: IdempotencyKey = None,
    ) -> Json:
        return accepted(
            await steer_once(Operation(request, context, identity, key, verb, f"run:{run}"), run)
        )

    router.add_api_route(
        f"/runs/{{run}}/{verb}",
        steer_run,
        methods=["POST"],
        name=f"{verb}_run",
        response_model=Task,
        status_code=202,
        summary=summary,
        description=description,
        responses=documented(RunNotFound, Conflict),
    )


for each, (summary, description) in STEERING.items():
    _add_steering(each, summary, description)

BY_VERB: Mapping[str, Steer] = MappingProxyType({steer.__name__: steer for steer in STEERING})


async def steer_once(operation: Operation, run: UUID) -> Task:
    """Do to a run what the operation's kind says, a verb of `STEERING`; return the task."""

    async def work(_made: UUID) -> Outcome:
        await BY_VERB[operation.kind](operation.context.registry, run)
        return Outcome(TaskState.DONE, run)

    return await accept_once(operation, work)


@router.post(
    "/runs/{run}/redrive",
    response_model=Task,
    status_code=202,
    summary="Retry a run's failed items",
    responses=documented(RunNotFound, Conflict),
)
async def redrive_run(
    request: Request,
    context: Context,
    identity: Operating,
    run: UUID,
    body: RedriveGiven | None = None,
    key: IdempotencyKey = None,
) -> Json:
    """They are retried in a new run, which the task names; `left` counts the others by reason.

    A retry of a committed run commits, however many of its items fail again.
    """
    given = body or RedriveGiven()
    operation = Operation(request, context, identity, key, REDRIVE, f"run:{run}", body=given)
    return accepted(await redrive_once(operation, run, given))


async def redrive_once(operation: Operation, run: UUID, given: RedriveGiven) -> Task:
    """Retry a run's failed items in a new run, which the task names."""
    registry = operation.context.registry

    async def work(made: UUID) -> Outcome:
        redriven = await registry.redrive(run, new_id=made, reasons=given.reasons)
        left = await registry.left_by_redrive(run, given.reasons)
        return Outcome(TaskState.ACCEPTED, redriven.id, {"left": dict(left)})

    return await accept_once(operation, work)


@router.post(
    "/dead-letters/redrive",
    response_model=Task,
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
) -> Json:
    """Each is sent once to the queue it came from, like a new message from an external producer.

    Dead letters of an active run are skipped: their items are redriven with that run.
    """
    given = body or LettersGiven()

    async def work(_made: UUID) -> Outcome:
        count = await context.registry.redrive_letters(ids=given.ids, queue=given.queue)
        return Outcome(TaskState.DONE, result={"redriven": count})

    operation = Operation(
        request, context, identity, key, "redrive_letters", "dead-letters", body=given
    )
    return await run_idempotent(operation, work)


@router.post(
    "/dead-letters/discard",
    response_model=Task,
    status_code=202,
    summary="Delete dead letters",
    responses=documented(Conflict),
)
async def discard_letters(
    request: Request,
    context: Context,
    identity: Operating,
    body: LettersDiscarded,
    key: IdempotencyKey = None,
) -> Json:
    """They are gone for good. What failed with them, an item or a run, stays failed."""

    async def work(_made: UUID) -> Outcome:
        count = await context.registry.discard_letters(body.ids)
        return Outcome(TaskState.DONE, result={"discarded": count})

    operation = Operation(
        request, context, identity, key, "discard_letters", "dead-letters", body=body
    )
    return await run_idempotent(operation, work)
