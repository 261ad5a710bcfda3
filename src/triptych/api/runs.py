"""Runs: their state, timeline, pace and failures."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import Query
from pydantic import Field

from triptych.api.http.dependencies import Context
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.paging import from_age, to_age
from triptych.api.http.problems import documented
from triptych.api.http.request_models import (
    PAGE_DEFAULT,
    PAGE_MAX,
    Asked,
    Moment,
    PageAsked,
    ShortText,
)
from triptych.api.http.responses import Json
from triptych.errors import InvalidCursor, RunNotFound
from triptych.model import Reason, RunKind, RunState, TimelineEvent
from triptych.runs.failure_reasons import EXPLAINED, Failures
from triptych.runs.run_filter import RunFilter
from triptych.runs.run_shown import RunShown
from triptych.runs.run_store import FailedItem, Pace, RefusedRows
from triptych.shown_url import shown_text, without_credentials
from triptych.wire import Page, Wire

router = ResourceRouter("runs")


class RunsAsked(PageAsked):
    """The filters and the page of a listing of runs."""

    brand: ShortText | None = None
    state: Annotated[
        list[RunState],
        Field(
            default_factory=list,
            max_length=len(RunState),
            description="Only runs in one of these states.",
        ),
    ]
    kind: Annotated[
        list[RunKind],
        Field(
            default_factory=list,
            max_length=len(RunKind),
            description="Only runs of one of these kinds.",
        ),
    ]
    since: Annotated[
        Moment | None, Field(description="Only runs opened at this time or later.")
    ] = None
    until: Annotated[Moment | None, Field(description="Only runs opened before this time.")] = None
    stalled: Annotated[
        bool,
        Field(description="Only runs of which nothing moves; with `held`, those of either."),
    ] = False
    held: Annotated[
        bool, Field(description="Only runs that wait for a decision; with `stalled`, of either.")
    ] = False

    @property
    def wanted(self) -> RunFilter:
        """The runs that the listing has."""
        return RunFilter(
            brand=self.brand,
            states=frozenset(self.state),
            kinds=frozenset(self.kind),
            since=self.since,
            until=self.until,
            stalled=self.stalled,
            held=self.held,
        )


class TimelineAsked(Asked):
    """The part of a timeline."""

    after: Annotated[int, Field(ge=0, le=2**63 - 1, description="Only events after this seq.")] = 0
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT


class Timeline(Wire, frozen=True):
    """A run's events. `next` is the seq to continue after, even if there are no later events."""

    items: list[TimelineEvent]
    next: int


class FailureReasons(Wire, frozen=True):
    """The reasons why a run's items failed, the most frequent first."""

    items: list[Failures]


@router.get(
    "/runs",
    response_model=Page[RunShown],
    summary="List runs, newest first",
    responses=documented(InvalidCursor),
)
async def list_runs(context: Context, asked: Annotated[RunsAsked, Query()]) -> Json:
    """Runs of all brands or of one; `state` and `kind` may be given several times.

    Each entry is a run as it is now: a page does not change, but what its runs do goes on.
    """
    before = to_age(context.cursors.read("runs", asked))
    found = await context.stores.runs.runs_slice(asked.wanted, before=before, limit=asked.limit)
    following = context.cursors.write("runs", asked, from_age(found.next))
    return Json(Page([RunShown.of(run) for run in found.rows], following))


@router.get(
    "/runs/{run}",
    response_model=RunShown,
    summary="Show a run",
    responses=documented(RunNotFound),
)
async def get_run(context: Context, run: UUID) -> Json:
    """A run's current state. Of two answers, the one with the higher `version` is newer."""
    return Json(RunShown.of(await context.stores.runs.run(run)))


@router.get(
    "/runs/{run}/timeline",
    response_model=Timeline,
    summary="List what happened to a run",
    responses=documented(RunNotFound),
)
async def get_timeline(
    context: Context, run: UUID, asked: Annotated[TimelineAsked, Query()]
) -> Json:
    """Events after seq `after`, without gaps or duplicates."""
    await context.stores.runs.run(run)
    events = await context.stores.runs.timeline(run, after=asked.after, limit=asked.limit)
    return Json(Timeline(list(events), events[-1].seq if events else asked.after))


@router.get(
    "/runs/{run}/pace",
    response_model=Pace,
    summary="Show a run's pace",
    responses=documented(RunNotFound),
)
async def get_pace(context: Context, run: UUID) -> Json:
    """Settled items and their latency over time, estimated from an even sample of the items."""
    await context.stores.runs.run(run)
    return Json(await context.stores.runs.pace(run))


@router.get(
    "/runs/{run}/failures",
    response_model=FailureReasons,
    summary="Count what failed in a run, by reason",
    responses=documented(RunNotFound),
)
async def get_failures(context: Context, run: UUID) -> Json:
    """Each reason with its count, its meaning and whether a redrive may help."""
    found = await context.stores.runs.run(run)
    if found.state is RunState.ACTIVE:
        counts = list(await context.stores.runs.failure_counts(run))
    else:  # They were counted when the run ended.
        counts = sorted(found.reasons.items(), key=lambda entry: (-entry[1], entry[0]))
    items = [
        Failures(each, count, EXPLAINED[each].meaning, EXPLAINED[each].redrive)
        for each, count in ((Reason(reason), count) for reason, count in counts)
    ]
    return Json(FailureReasons(items))


@router.get(
    "/runs/{run}/failures/{reason}",
    response_model=Page[FailedItem],
    summary="List the items of a run that failed for one reason",
    responses=documented(RunNotFound, InvalidCursor),
)
async def list_failed(
    context: Context, run: UUID, reason: Reason, asked: Annotated[PageAsked, Query()]
) -> Json:
    """The items' URLs with details, in order of dispatch."""
    listing = f"failures/{run}/{reason}"
    position = context.cursors.read(listing, asked)
    await context.stores.runs.run(run)
    found = await context.stores.runs.failed_items(
        run, reason.value, after=position[0] if position else -1, limit=asked.limit
    )
    following = None if found.next is None else [found.next]
    items = [
        msgspec.structs.replace(
            row, url=without_credentials(row.url), detail=row.detail and shown_text(row.detail)
        )
        for row in found.rows
    ]
    return Json(Page(items, context.cursors.write(listing, asked, following)))


@router.get(
    "/runs/{run}/refused-rows",
    response_model=RefusedRows,
    summary="List the rows of a run's source that name no URL",
    responses=documented(RunNotFound),
)
async def list_refused_rows(context: Context, run: UUID) -> Json:
    """Where they are, and why they are no items. The first hundred; `count` is of all."""
    found = await context.stores.runs.run(run)
    rows = await context.stores.runs.refused_rows(run)
    return Json(RefusedRows(list(rows), found.rows_refused))
