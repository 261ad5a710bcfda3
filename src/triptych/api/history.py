"""The history of a brand: runs, snapshots and what operators did, in one order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from msgspec import Meta

from triptych.access.access_store import Scope
from triptych.api.http.auth import HttpReader
from triptych.api.http.dependencies import ApiContext, BrandPath, Context
from triptych.api.http.idempotency import made_by
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.request_models import PageAsked
from triptych.api.http.responses import Json
from triptych.api.tasks import audit_shown
from triptych.errors import BrandNotFound, InvalidCursor, InvalidSchedule
from triptych.model import Run
from triptych.runs.run_shown import RunShown
from triptych.runs.schedule import in_words
from triptych.tasks.history_store import Happened, HistoryPosition, HistoryRow
from triptych.tasks.task_store import KeptAudit
from triptych.wire import Wire

router = ResourceRouter("brands")


class HistoryEntry(Wire, frozen=True):
    """Something that happened to a brand."""

    at: datetime
    kind: Happened
    run: Annotated[
        RunShown | None,
        Meta(
            description="The run that it is about, as it is now; of an action, the run that it "
            "opened or changed. Null if there is none, or it is no longer kept."
        ),
    ]
    action: Annotated[KeptAudit | None, Meta(description="What an operator did; null otherwise.")]
    schedule_words: Annotated[
        str | None, Meta(description="The schedule that was set, as a sentence.")
    ] = None


class History(Wire, frozen=True):
    """A page of a brand's history, the newest first."""

    items: list[HistoryEntry]
    next: Annotated[
        str | None, Meta(description="The next page's `cursor`; null on the last page.")
    ]
    actions: Annotated[
        bool, Meta(description="False: what operators did is left out, for the key is a reader's.")
    ]


@router.get(
    "/brands/{brand}/history",
    response_model=History,
    summary="List what happened to a brand, newest first",
    responses=documented(BrandNotFound, InvalidCursor),
)
async def get_history(
    context: Context, identity: HttpReader, brand: BrandPath, asked: Annotated[PageAsked, Query()]
) -> Json:
    """Runs opened and ended, snapshots removed, and, for operators, what operators did."""
    listing = f"history/{brand}"
    position = context.cursors.read(listing, asked)
    await context.stores.brands.snapshot_of(brand)
    actions = identity.scope is Scope.OPERATOR
    found = await context.stores.history.history_slice(
        brand, before=_read(position), limit=asked.limit, actions=actions
    )
    runs = await _runs(context, brand, found.rows)
    items = [_entry(row, runs) for row in found.rows]
    following = context.cursors.write(listing, asked, _written(found.next))
    return Json(History(items, following, actions))


def _read(position: list[Any] | None) -> HistoryPosition | None:
    if position is None:
        return None
    return HistoryPosition(datetime.fromisoformat(position[0]), position[1], position[2])


def _written(position: HistoryPosition | None) -> list[Any] | None:
    return None if position is None else [position.at.isoformat(), position.rank, position.key]


async def _runs(
    context: ApiContext, brand: str, rows: Sequence[HistoryRow]
) -> Mapping[UUID, RunShown]:
    ids = {found for row in rows for found in (row.run_id, *_of_action(row.action)) if found}
    runs: Sequence[Run] = await context.stores.runs.runs_of(sorted(ids))
    return {run.id: RunShown.of(run) for run in runs if run.brand == brand}


def _of_action(action: KeptAudit | None) -> Sequence[UUID]:
    """Return the runs that an action may be about: one that it opened, then its target."""
    if action is None:
        return []
    found = []
    if (task := _uuid(action.detail.get("task"))) is not None:
        found.append(made_by(task))
    scheme, _, name = action.target.partition(":")
    if scheme in {"run", "snapshot"} and (target := _uuid(name)) is not None:
        found.append(target)
    return found


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None


def _entry(row: HistoryRow, runs: Mapping[UUID, RunShown]) -> HistoryEntry:
    if row.action is None:
        return HistoryEntry(row.at, row.kind, runs.get(row.run_id) if row.run_id else None, None)
    run = next((runs[one] for one in _of_action(row.action) if one in runs), None)
    return HistoryEntry(row.at, row.kind, run, audit_shown(row.action), _words(row.action))


def _words(action: KeptAudit) -> str | None:
    """Return the schedule that an action set, in words; None if it set none."""
    request = action.detail.get("request")
    schedule = request.get("schedule") if isinstance(request, dict) else None
    if not isinstance(schedule, str):
        return None
    try:
        return in_words(schedule)
    except InvalidSchedule:  # Of an earlier release: it is shown as it was written.
        return schedule
