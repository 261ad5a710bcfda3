"""The machinery: queues, dead letters, workers, settings, health."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from triptych.api.http import responses as answers
from triptych.api.http.dependencies import Context
from triptych.api.http.problems import documented
from triptych.api.requests import PageAsked
from triptych.api.schemas import (
    DeadLetterShown,
    HealthShown,
    Page,
    QueuesShown,
    SettingsShown,
    WorkersShown,
)
from triptych.dead_letters.dead_letter_store import KeptLetter
from triptych.errors import InvalidCursor, Unavailable
from triptych.live.states import LETTERS_COUNTED_MAX, WORKERS_MAX, queues_state, worker_state
from triptych.telemetry.metrics import (
    CONTENT_TYPE,
    QUEUE_IN_FLIGHT,
    QUEUE_OLDEST_SECONDS,
    QUEUE_WAITING,
    exposition,
)

router = APIRouter(tags=["system"])
health = APIRouter(tags=["health"])


@router.get(
    "/queues",
    response_model=QueuesShown,
    summary="Show the queues",
    responses=documented(Unavailable),
)
async def list_queues(context: Context) -> answers.Json:
    """Depth, messages in flight and the age of the oldest, dead-letter queues included."""
    depths = await context.queue.depths()
    letters = await context.stores.dead_letters.count(limit=LETTERS_COUNTED_MAX)
    state = queues_state(depths, letters)
    return answers.Json({"items": state.pop("queues"), **state})


@router.get(
    "/dead-letters",
    response_model=Page[DeadLetterShown],
    summary="List dead letters, newest first",
    responses=documented(InvalidCursor),
)
async def list_dead_letters(context: Context, asked: Annotated[PageAsked, Query()]) -> answers.Json:
    """Messages that could not be processed, with the reason."""
    position = context.cursors.read("dead-letters", asked)
    found = await context.stores.dead_letters.page(
        before=position[0] if position else None, limit=asked.limit
    )

    def show(kept: KeptLetter) -> dict[str, Any]:
        return {
            "id": kept.id,
            "at": kept.at,
            "queue": kept.letter.queue,
            "message_id": kept.letter.message_id,
            "body": kept.letter.body,
            "headers": kept.letter.headers,
            "reason": kept.letter.reason,
            "run": kept.letter.run_id,
            "redriven_at": kept.redriven_at,
        }

    following = None if found.next is None else [found.next]
    return answers.page(found.rows, show, context.cursors.write("dead-letters", asked, following))


@router.get("/workers", response_model=WorkersShown, summary="Show the workers")
async def list_workers(context: Context) -> answers.Json:
    """Who is alive, in which version, and how many messages of which queue each holds."""
    items = [
        worker_state(seen) for seen in await context.stores.presence.workers(limit=WORKERS_MAX)
    ]
    return answers.Json({"items": items})


@router.get("/settings", response_model=SettingsShown, summary="Show the settings in force")
async def list_settings(context: Context) -> answers.Json:
    """Those of this API server, and where each came from. Secrets are hidden."""
    shown, origins = context.settings.shown(), context.settings.origins()
    items = [{"name": n, "value": shown[n], "origin": origins[n]} for n in shown]
    return answers.Json({"items": items})


@health.get(
    "/metrics",
    response_class=Response,
    summary="Show this server's metrics",
    responses={
        200: {
            "description": "In Prometheus' text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **documented(Unavailable),
    },
)
async def metrics(context: Context) -> Response:
    """With the depths of the queues as they are now. Workers tell theirs on their own port."""
    for depth in await context.queue.depths():
        QUEUE_WAITING.labels(depth.queue).set(depth.waiting)
        QUEUE_IN_FLIGHT.labels(depth.queue).set(depth.in_flight)
        QUEUE_OLDEST_SECONDS.labels(depth.queue).set(depth.oldest_s or 0.0)
    return Response(exposition(), media_type=CONTENT_TYPE)


@health.get("/healthz", response_model=HealthShown, summary="Tell that the server runs")
async def healthz() -> answers.Json:
    """Whatever the database does: a server that runs is not to be restarted for it."""
    return answers.Json({"status": "ok"})


@health.get(
    "/readyz",
    response_model=HealthShown,
    summary="Tell that the server can answer",
    responses=documented(Unavailable),
)
async def readyz(context: Context) -> answers.Json:
    """Database and queues answer, and the schema is the one that is known here."""
    await context.stores.check()
    await context.queue.check()
    return answers.Json({"status": "ok"})
