"""Limits: pausing and slowing phases and hosts while everything runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Protocol
from uuid import UUID

import msgspec
from fastapi import Depends, Path, Request
from msgspec import Meta
from pydantic import Field

from triptych.api.http.auth import HttpReader, Operating
from triptych.api.http.dependencies import ApiContext, ApiStores, of_request
from triptych.api.http.idempotency import IdempotencyKey, Operation, Outcome, run_idempotent
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.request_models import Given, Integral
from triptych.api.http.responses import Json
from triptych.errors import BadInput, Conflict, Unavailable
from triptych.fetch.host_limit import (
    HOST_CONCURRENCY_MAX,
    HOST_MAX_CHARS,
    PER_SECOND_MAX,
    PER_SECOND_MIN,
    HostLimit,
    host_name,
)
from triptych.limits.limit_store import (
    PHASE_CONCURRENCY_MAX,
    HostNotLimited,
    LimitStore,
    PhaseLimit,
)
from triptych.messages import Phase
from triptych.presence.presence_store import WORKERS_MAX, SeenWorker
from triptych.tasks.task_store import Task, TaskState
from triptych.wire import Wire

TRAFFIC_MAX = 200
"""Hosts without limits of their own that are listed, the busiest first."""

router = ResourceRouter("operations")


class LimitStores(ApiStores, Protocol):
    """The API's stores and the store of limits."""

    limits: LimitStore


Context = Annotated[ApiContext[LimitStores], Depends(of_request)]
HostPath = Annotated[
    str,
    Path(
        min_length=1,
        max_length=HOST_MAX_CHARS,
        description="A host's exact name as in URLs, without scheme and port; or `s3:BUCKET`.",
        examples=["images.example.com"],
    ),
]


class PhaseState(PhaseLimit, frozen=True, kw_only=True):
    """A phase: what an operator has set for it, and who serves it."""

    COMPONENT: ClassVar[str] = "PhaseShown"

    workers: Annotated[int, Meta(description="Workers that serve it and are alive.")]


class Phases(Wire, frozen=True):
    """The three phases."""

    items: list[PhaseState]


class HostState(Wire, frozen=True):
    """A host: its own limits, if it has any, and what goes on at it now."""

    COMPONENT: ClassVar[str] = "HostShown"

    host: str
    paused: bool
    concurrency: int | None
    per_second: float | None
    changed_at: Annotated[datetime | None, Meta(description="Null: it has no limits of its own.")]
    changed_by: str | None
    paused_at: datetime | None
    paused_by: str | None
    requests: Annotated[int, Meta(description="Under way, of all workers.")]
    waiting: Annotated[int, Meta(description="Items that wait for their turn at it in workers.")]
    workers: Annotated[int, Meta(description="Workers with requests to it or items for it.")]


class Hosts(Wire, frozen=True):
    """The hosts that have limits of their own, and those with traffic now."""

    items: list[HostState]
    left_out: Annotated[
        int, Meta(description=f"Hosts with traffic beyond the {TRAFFIC_MAX} that are listed.")
    ]


class PhaseGiven(Given):
    """A phase's new limits; `concurrency` that is left out is that of the settings again."""

    paused: bool
    concurrency: Annotated[
        Annotated[int, Field(ge=1, le=PHASE_CONCURRENCY_MAX), Integral] | None,
        Field(description="Messages at a time in each worker."),
    ] = None


class HostGiven(Given):
    """A host's new limits; one that is left out is that of the settings again."""

    paused: bool
    concurrency: Annotated[
        Annotated[int, Field(ge=1, le=HOST_CONCURRENCY_MAX), Integral] | None,
        Field(description="Requests at a time from each worker."),
    ] = None
    per_second: Annotated[
        Annotated[float, Field(ge=PER_SECOND_MIN, le=PER_SECOND_MAX)] | None,
        Field(description="Requests a second from each worker."),
    ] = None


@router.get(
    "/phases",
    response_model=Phases,
    summary="Show the phases, and what is paused or limited",
    responses=documented(Unavailable),
)
async def list_phases(context: Context, identity: HttpReader) -> Json:
    """Pauses and limits of gather, acquire and AI, for the whole installation.

    Keys that are limited to brands are not told who paused or changed them.
    """
    limits = await context.stores.limits.limits()
    workers = await _alive(context)
    serving = {p: sum(p in worker.phases for worker in workers) for p in Phase}
    shown = [
        limit if identity.brands is None else limit.without_names()
        for limit in limits.phases.values()
    ]
    return Json(
        Phases([PhaseState(**msgspec.structs.asdict(s), workers=serving[s.phase]) for s in shown])
    )


@router.put(
    "/phases/{phase}",
    response_model=Task,
    status_code=202,
    summary="Pause, resume or limit a phase",
    responses=documented(Conflict),
)
async def put_phase(
    request: Request,
    context: Context,
    identity: Operating,
    phase: Phase,
    body: PhaseGiven,
    key: IdempotencyKey = None,
) -> Json:
    """Workers heed it at once: they take no more messages, or only so many at a time.

    What they hold is finished. The AI phase's queue also has exports and deletions, which wait with
    it. Deadlines of runs go on. `concurrency` is for each worker, so a phase does as many times
    that as it has workers. A Lambda function heeds it at its next invocation.
    """

    async def work(_made: UUID) -> Outcome:
        await context.stores.limits.put_phase(
            phase, paused=body.paused, concurrency=body.concurrency, by=identity.name
        )
        return Outcome(TaskState.DONE)

    operation = Operation(
        request, context, identity, key, "put_phase", f"phase:{phase.value}", body=body
    )
    return await run_idempotent(operation, work)


@router.get(
    "/hosts",
    response_model=Hosts,
    summary="Show the hosts that are limited, or have traffic now",
    responses=documented(Unavailable),
)
async def list_hosts(context: Context) -> Json:
    """Those with limits of their own by name, then the others, the busiest first.

    Traffic is that of the workers' last heartbeats, which name their busiest hosts only.
    """
    limits = await context.stores.limits.limits()
    traffic = _traffic(await _alive(context))
    own = [_host(name, limit, traffic) for name, limit in limits.hosts.items()]
    others = sorted(
        (_host(name, None, traffic) for name in traffic.keys() - limits.hosts.keys()),
        key=lambda host: (-host.requests, -host.waiting, host.host),
    )
    return Json(Hosts([*own, *others[:TRAFFIC_MAX]], max(len(others) - TRAFFIC_MAX, 0)))


@router.put(
    "/hosts/{host}",
    response_model=Task,
    status_code=202,
    summary="Pause, resume or limit a host",
    responses=documented(Conflict),
)
async def put_host(
    request: Request,
    context: Context,
    identity: Operating,
    host: HostPath,
    body: HostGiven,
    key: IdempotencyKey = None,
) -> Json:
    """Workers heed it at once. Items of a paused host wait, without an attempt.

    Limits are for each worker. They hold for the requests of items and their robots.txt, not for
    reading sources. The pace that a host's robots.txt asks for is kept in any case.
    """
    name = host_name(host)
    if not body.paused and body.concurrency is None and body.per_second is None:
        raise BadInput(
            "This leaves the host without limits of its own.",
            field="paused",
            remedy=f"Set one of them, or `DELETE /api/v1/hosts/{name}`.",
        )

    async def work(_made: UUID) -> Outcome:
        await context.stores.limits.put_host(
            name,
            paused=body.paused,
            concurrency=body.concurrency,
            per_second=body.per_second,
            by=identity.name,
        )
        return Outcome(TaskState.DONE)

    operation = Operation(request, context, identity, key, "put_host", f"host:{name}", body=body)
    return await run_idempotent(operation, work)


@router.delete(
    "/hosts/{host}",
    response_model=Task,
    status_code=202,
    summary="Take a host's limits away",
    responses=documented(HostNotLimited, Conflict),
)
async def drop_host(
    request: Request,
    context: Context,
    identity: Operating,
    host: HostPath,
    key: IdempotencyKey = None,
) -> Json:
    """The settings hold for it again. If it was paused, it goes on."""
    name = host_name(host)

    async def work(_made: UUID) -> Outcome:
        await context.stores.limits.drop_host(name)
        return Outcome(TaskState.DONE)

    operation = Operation(request, context, identity, key, "drop_host", f"host:{name}")
    return await run_idempotent(operation, work)


async def _alive(context: ApiContext[LimitStores]) -> Sequence[SeenWorker]:
    workers = await context.stores.presence.workers(limit=WORKERS_MAX)
    return [worker for worker in workers if worker.alive]


def _traffic(workers: Iterable[SeenWorker]) -> Mapping[str, tuple[int, int, int]]:
    """Return requests, waiting items and workers of every host that workers name."""
    found: dict[str, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for worker in workers:
        for each in worker.hosts:
            requests, waiting, seen = found[each.host]
            found[each.host] = (requests + each.requests, waiting + each.waiting, seen + 1)
    return dict(found)


def _host(
    name: str, limit: HostLimit | None, traffic: Mapping[str, tuple[int, int, int]]
) -> HostState:
    requests, waiting, workers = traffic.get(name, (0, 0, 0))
    return HostState(
        host=name,
        paused=limit is not None and limit.paused,
        concurrency=limit.concurrency if limit else None,
        per_second=limit.per_second if limit else None,
        changed_at=limit.changed_at if limit else None,
        changed_by=limit.changed_by if limit else None,
        paused_at=limit.paused_at if limit else None,
        paused_by=limit.paused_by if limit else None,
        requests=requests,
        waiting=waiting,
        workers=workers,
    )
