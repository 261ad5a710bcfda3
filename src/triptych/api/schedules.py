"""Schedules, before one is set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query
from msgspec import Meta
from pydantic import AfterValidator, Field

from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.request_models import TEXT_MAX_CHARS, Asked, storable
from triptych.api.http.responses import Json
from triptych.errors import InvalidSchedule
from triptych.runs.schedule import in_words, next_due, upcoming
from triptych.wire import Wire

router = ResourceRouter("brands")


class ScheduleAsked(Asked):
    """A schedule."""

    cron: Annotated[
        str,
        Field(
            min_length=1,
            max_length=TEXT_MAX_CHARS,
            description="A cron expression with five fields, in UTC.",
            examples=["0 3 * * 1"],
        ),
        AfterValidator(storable),
    ]


class SchedulePreview(Wire, frozen=True):
    """What a schedule means."""

    cron: str
    words: Annotated[str, Meta(description="The schedule as a sentence, in UTC.")]
    next: Annotated[list[datetime], Meta(description="When it is due next: up to three times.")]


@router.get(
    "/schedules/preview",
    response_model=SchedulePreview,
    summary="Show what a schedule means",
    responses=documented(InvalidSchedule),
)
async def preview_schedule(asked: Annotated[ScheduleAsked, Query()]) -> Json:
    """A schedule in words, and when it is due next. Nothing is set."""
    first = next_due(asked.cron, datetime.now(UTC))
    return Json(SchedulePreview(asked.cron, in_words(asked.cron), upcoming(asked.cron, first)))
