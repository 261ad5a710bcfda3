"""Snapshots: a brand's committed states over time, and the difference between two of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from triptych.api.http.dependencies import ApiContext, BrandPath, Context
from triptych.api.http.paging import from_age, to_age
from triptych.api.http.problems import documented
from triptych.api.http.request_models import PageAsked
from triptych.api.http.responses import Json
from triptych.errors import BrandNotFound, InvalidCursor, RunNotFound, SnapshotCollected
from triptych.model import Run, RunKind, RunState
from triptych.snapshots.snapshot_store import Difference
from triptych.wire import Page, Wire

router = APIRouter(tags=["snapshots"])


class DifferenceAsked(PageAsked):
    """The filter and the page of a difference."""

    change: Annotated[Literal["added", "removed", "changed"] | None, Field()] = None


class Snapshot(Wire, frozen=True):
    """What a run committed."""

    run: UUID
    current: bool
    kind: RunKind
    created_at: datetime
    ended_at: datetime | None
    assets: int
    added: int | None
    kept: int | None
    changed: int | None
    removed: int | None

    @classmethod
    def of(cls, run: Run, *, current: UUID | None) -> Self:
        """Return what a run committed; ``current`` is the run of the brand's current snapshot."""
        return cls(
            run=run.id,
            current=run.id == current,
            kind=run.kind,
            created_at=run.created_at,
            ended_at=run.ended_at,
            assets=(run.added or 0) + (run.kept or 0) + (run.changed or 0),
            added=run.added,
            kept=run.kept,
            changed=run.changed,
            removed=run.removed,
        )


@router.get(
    "/brands/{brand}/snapshots",
    response_model=Page[Snapshot],
    summary="List a brand's snapshots",
    responses=documented(BrandNotFound, InvalidCursor),
)
async def list_snapshots(
    context: Context, brand: BrandPath, asked: Annotated[PageAsked, Query()]
) -> Json:
    """What the brand's runs committed, newest first."""
    listing = f"snapshots/{brand}"
    before = to_age(context.cursors.read(listing, asked))
    current = await context.stores.brands.snapshot_of(brand)
    found = await context.stores.snapshots.snapshots_slice(brand, before=before, limit=asked.limit)

    items = [Snapshot.of(run, current=current) for run in found.rows]
    following = context.cursors.write(listing, asked, from_age(found.next))
    return Json(Page(items, following))


@router.get(
    "/brands/{brand}/snapshots/{old}/diff/{new}",
    response_model=Page[Difference],
    summary="Compare two snapshots of a brand",
    responses=documented(BrandNotFound, RunNotFound, InvalidCursor, SnapshotCollected),
)
async def diff_snapshots(
    context: Context,
    brand: BrandPath,
    old: UUID,
    new: UUID,
    asked: Annotated[DifferenceAsked, Query()],
) -> Json:
    """URLs that were added or removed, or whose content changed, from `old` to `new`."""
    listing = f"diff/{brand}/{old}/{new}"
    position = context.cursors.read(listing, asked)
    for run_id in (old, new):
        await _check_snapshot(context, brand, run_id)
    found = await context.stores.snapshots.difference_slice(
        brand,
        old,
        new,
        change=asked.change,
        after=bytes.fromhex(position[0]) if position else b"",
        limit=asked.limit,
    )
    following = None if found.next is None else [found.next.hex()]
    return Json(Page(list(found.rows), context.cursors.write(listing, asked, following)))


async def _check_snapshot(context: ApiContext, brand: str, run_id: UUID) -> None:
    run = await context.stores.runs.run(run_id)
    if run.brand != brand or run.state is not RunState.COMMITTED:
        raise RunNotFound(
            f"Brand {brand!r} has no snapshot {run_id}.", remedy="List the brand's snapshots."
        )
