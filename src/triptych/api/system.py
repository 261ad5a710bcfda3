"""The system: queues, dead letters, workers, settings, metrics and health."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from fastapi import Query, Response

from triptych.access.access_store import Scope
from triptych.api.http.auth import HttpReader, Operating
from triptych.api.http.dependencies import Context
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.request_models import PageAsked
from triptych.api.http.responses import Json
from triptych.dead_letters.dead_letter_store import LETTERS_COUNTED_MAX, KeptLetter, Letters
from triptych.errors import InvalidCursor, Unavailable
from triptych.presence.presence_store import WORKERS_MAX, SeenWorker
from triptych.queues.queue import QueueDepth
from triptych.telemetry.metrics import (
    CONTENT_TYPE,
    QUEUE_DELAYED,
    QUEUE_IN_FLIGHT,
    QUEUE_OLDEST_SECONDS,
    QUEUE_WAITING,
    exposition,
)
from triptych.wire import Page, Wire
from triptych.workers.catalogue_metrics import observe_catalogue, observe_reads

router = ResourceRouter("system")
health = ResourceRouter("health")


class Queues(Letters, frozen=True, kw_only=True):
    """The queues, and the number of dead letters that wait for a redrive."""

    items: list[QueueDepth]


class Workers(Wire, frozen=True):
    """The known workers."""

    items: list[SeenWorker]


class Setting(Wire, frozen=True):
    """A setting in force."""

    name: str
    value: str
    origin: str


class SettingsInForce(Wire, frozen=True):
    """The settings in force. Secrets are hidden."""

    COMPONENT: ClassVar[str] = "SettingsShown"

    items: list[Setting]


class Health(Wire, frozen=True):
    """The server's health."""

    status: Literal["ok"]


@router.get(
    "/queues",
    response_model=Queues,
    summary="Show the queues",
    responses=documented(Unavailable),
)
async def list_queues(context: Context) -> Json:
    """Each queue's depth, messages in flight and age of the oldest message, including DLQs."""
    depths = await context.queue.depths()
    letters = await context.stores.dead_letters.count(limit=LETTERS_COUNTED_MAX)
    return Json(Queues(letters.waiting, letters.newest, items=list(depths)))


@router.get(
    "/dead-letters",
    response_model=Page[KeptLetter],
    summary="List dead letters, newest first",
    responses=documented(InvalidCursor),
)
async def list_dead_letters(context: Context, asked: Annotated[PageAsked, Query()]) -> Json:
    """Messages that could not be processed, each with the reason."""
    position = context.cursors.read("dead-letters", asked)
    found = await context.stores.dead_letters.page(
        before=position[0] if position else None, limit=asked.limit
    )
    following = None if found.next is None else [found.next]
    return Json(Page(list(found.rows), context.cursors.write("dead-letters", asked, following)))


@router.get("/workers", response_model=Workers, summary="Show the workers")
async def list_workers(context: Context, identity: HttpReader) -> Json:
    """Each worker's liveness and version, and how many messages it holds of each queue.

    Its host and process are for operators; for readers they are null.
    """
    found = await context.stores.presence.workers(limit=WORKERS_MAX)
    if identity.scope is not Scope.OPERATOR:
        found = [worker.for_readers() for worker in found]
    return Json(Workers(list(found)))


@router.get(
    "/settings",
    response_model=SettingsInForce,
    summary="Show the settings in force",
    responses=documented(403),
)
async def list_settings(context: Context, _operator: Operating) -> Json:
    """This API server's settings and where each came from. Secrets are hidden.

    For operators: they name paths, hosts and networks of the installation.
    """
    shown, origins = context.settings.shown(), context.settings.origins()
    return Json(SettingsInForce([Setting(n, shown[n], origins[n]) for n in shown]))


@health.get(
    "/metrics",
    response_class=Response,
    summary="Show this server's metrics",
    responses={
        200: {
            "description": "Metrics in the Prometheus text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **documented(Unavailable),
    },
)
async def metrics(context: Context) -> Response:
    """Includes, as they are now: the queues, stalled and held runs, the lag of the search index.

    And how far MongoDB is behind, if it answers immediate reads.

    Workers expose their metrics on a port of their own.
    """
    for depth in await context.queue.depths():
        QUEUE_WAITING.labels(depth.queue).set(depth.waiting)
        QUEUE_DELAYED.labels(depth.queue).set(depth.delayed)
        QUEUE_IN_FLIGHT.labels(depth.queue).set(depth.in_flight)
        QUEUE_OLDEST_SECONDS.labels(depth.queue).set(depth.oldest_s or 0.0)
    await observe_catalogue(context.stores.runs, context.stores.search)
    lag = await context.reads.lag()
    observe_reads(None if lag is None else lag.seconds)
    return Response(exposition(), media_type=CONTENT_TYPE)


@health.get("/healthz", response_model=Health, summary="Check that the server is running")
async def healthz() -> Json:
    """Does not depend on the database: its failure is no reason to restart a running server."""
    return Json(Health("ok"))


@health.get(
    "/readyz",
    response_model=Health,
    summary="Check that the server is ready",
    responses=documented(Unavailable),
)
async def readyz(context: Context) -> Json:
    """The database answers, and this release may serve on its schema.

    That can also be the schema of the release before or after it. The queues have answered once: a
    server that has started is ready without them, since it still reads and searches.

    Whoever asks, this is looked for once a second.
    """
    await context.ready()
    return Json(Health("ok"))
