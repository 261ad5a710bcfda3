"""Runs: where they are, what happened to them, what failed."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from triptych.api.http import responses as answers
from triptych.api.http.dependencies import Context
from triptych.api.http.paging import from_age, to_age
from triptych.api.http.problems import documented
from triptych.api.requests import PageAsked, RunsAsked, TimelineAsked
from triptych.api.schemas import (
    FailedItemShown,
    FailureReasonsShown,
    PaceShown,
    Page,
    RunShown,
    TimelineShown,
)
from triptych.errors import InvalidCursor, RunNotFound
from triptych.model import Reason, RunState
from triptych.runs.failure_reasons import EXPLAINED
from triptych.runs.run_store import FailedItem

router = APIRouter(tags=["runs"])


@router.get(
    "/runs",
    response_model=Page[RunShown],
    summary="List runs, newest first",
    responses=documented(InvalidCursor),
)
async def list_runs(context: Context, asked: Annotated[RunsAsked, Query()]) -> answers.Json:
    """Runs of all brands or of one, in any state or in one."""
    before = to_age(context.cursors.read("runs", asked))
    found = await context.stores.runs.runs_slice(
        brand=asked.brand, state=asked.state, before=before, limit=asked.limit
    )
    following = context.cursors.write("runs", asked, from_age(found.next))
    return answers.page(found.rows, answers.run, following)


@router.get(
    "/runs/{run}",
    response_model=RunShown,
    summary="Show a run",
    responses=documented(RunNotFound),
)
async def get_run(context: Context, run: UUID) -> answers.Json:
    """One run as it stands. A reader keeps the highest `version` that it saw."""
    return answers.Json(answers.run(await context.stores.runs.run(run)))


@router.get(
    "/runs/{run}/timeline",
    response_model=TimelineShown,
    summary="List what happened to a run",
    responses=documented(RunNotFound),
)
async def get_timeline(
    context: Context, run: UUID, asked: Annotated[TimelineAsked, Query()]
) -> answers.Json:
    """Events behind seq `after`, without gap or duplicate."""
    await context.stores.runs.run(run)
    events = await context.stores.runs.timeline(run, after=asked.after, limit=asked.limit)
    items = [{"seq": e.seq, "at": e.at, "kind": e.kind, "data": e.data} for e in events]
    return answers.Json({"items": items, "next": events[-1].seq if events else asked.after})


@router.get(
    "/runs/{run}/pace",
    response_model=PaceShown,
    summary="Show how fast a run went",
    responses=documented(RunNotFound),
)
async def get_pace(context: Context, run: UUID) -> answers.Json:
    """Items settled and their latency over time, told by an even sample of them."""
    await context.stores.runs.run(run)
    found = await context.stores.runs.pace(run)
    buckets = [
        {
            "at": bucket.at,
            "settled": bucket.settled,
            "failed": bucket.failed,
            "p50_s": bucket.p50_s,
            "p95_s": bucket.p95_s,
        }
        for bucket in found.buckets
    ]
    return answers.Json({"width_s": found.width_s, "each": found.each, "buckets": buckets})


@router.get(
    "/runs/{run}/failures",
    response_model=FailureReasonsShown,
    summary="Count what failed in a run, by reason",
    responses=documented(RunNotFound),
)
async def get_failures(context: Context, run: UUID) -> answers.Json:
    """Each reason with its count, what it means and whether a redrive may help."""
    found = await context.stores.runs.run(run)
    if found.state is RunState.ACTIVE:
        counts = list(await context.stores.runs.failure_counts(run))
    else:  # Counted when it ended.
        counts = sorted(found.reasons.items(), key=lambda entry: (-entry[1], entry[0]))
    items = [
        {
            "reason": reason,
            "count": count,
            "meaning": EXPLAINED[Reason(reason)].meaning,
            "redrive": EXPLAINED[Reason(reason)].redrive,
        }
        for reason, count in counts
    ]
    return answers.Json({"items": items})


@router.get(
    "/runs/{run}/failures/{reason}",
    response_model=Page[FailedItemShown],
    summary="List the items of a run that failed for one reason",
    responses=documented(RunNotFound, InvalidCursor),
)
async def list_failed(
    context: Context, run: UUID, reason: Reason, asked: Annotated[PageAsked, Query()]
) -> answers.Json:
    """Their URLs with details, in order of dispatch."""
    listing = f"failures/{run}/{reason}"
    position = context.cursors.read(listing, asked)
    await context.stores.runs.run(run)
    found = await context.stores.runs.failed_items(
        run, reason.value, after=position[0] if position else -1, limit=asked.limit
    )

    def show(item: FailedItem) -> dict[str, Any]:
        return {
            "url": item.url,
            "detail": item.detail,
            "attempts": item.attempts,
            "settled_at": item.settled_at,
        }

    following = None if found.next is None else [found.next]
    return answers.page(found.rows, show, context.cursors.write(listing, asked, following))
