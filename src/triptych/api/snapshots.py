"""Snapshots: what a brand had when, and what two of them have otherwise."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from triptych.api.http import responses as answers
from triptych.api.http.dependencies import ApiContext, BrandPath, Context
from triptych.api.http.paging import from_age, to_age
from triptych.api.http.problems import documented
from triptych.api.requests import DifferenceAsked, PageAsked
from triptych.api.schemas import DifferenceShown, Page, SnapshotShown
from triptych.errors import BrandNotFound, InvalidCursor, RunNotFound, SnapshotCollected
from triptych.model import Run, RunState
from triptych.snapshots.asset_ids import asset_id
from triptych.snapshots.snapshot_store import Difference

router = APIRouter(tags=["snapshots"])


@router.get(
    "/brands/{brand}/snapshots",
    response_model=Page[SnapshotShown],
    summary="List a brand's snapshots",
    responses=documented(BrandNotFound, InvalidCursor),
)
async def list_snapshots(
    context: Context, brand: BrandPath, asked: Annotated[PageAsked, Query()]
) -> answers.Json:
    """What the brand's runs committed, newest first."""
    listing = f"snapshots/{brand}"
    before = to_age(context.cursors.read(listing, asked))
    current = await context.stores.brands.snapshot_of(brand)
    found = await context.stores.snapshots.snapshots_slice(brand, before=before, limit=asked.limit)

    def show(run: Run) -> dict[str, Any]:
        return {
            "run": run.id,
            "current": run.id == current,
            "kind": run.kind,
            "created_at": run.created_at,
            "ended_at": run.ended_at,
            "assets": (run.added or 0) + (run.kept or 0) + (run.changed or 0),
            "added": run.added,
            "kept": run.kept,
            "changed": run.changed,
            "removed": run.removed,
        }

    following = context.cursors.write(listing, asked, from_age(found.next))
    return answers.page(found.rows, show, following)


@router.get(
    "/brands/{brand}/snapshots/{old}/diff/{new}",
    response_model=Page[DifferenceShown],
    summary="Compare two snapshots of a brand",
    responses=documented(BrandNotFound, RunNotFound, InvalidCursor, SnapshotCollected),
)
async def diff_snapshots(
    context: Context,
    brand: BrandPath,
    old: UUID,
    new: UUID,
    asked: Annotated[DifferenceAsked, Query()],
) -> answers.Json:
    """URLs that were added, removed or whose content changed from `old` to `new`."""
    listing = f"diff/{brand}/{old}/{new}"
    position = context.cursors.read(listing, asked)
    for run_id in (old, new):
        await _check_snapshot(context, brand, run_id)
    found = await context.stores.snapshots.difference_slice(
        old,
        new,
        change=asked.change,
        after=bytes.fromhex(position[0]) if position else b"",
        limit=asked.limit,
    )

    def show(entry: Difference) -> dict[str, Any]:
        return {
            "id": asset_id(brand, entry.key),
            "url": entry.url,
            "change": entry.change,
            "before": entry.before.hex() if entry.before else None,
            "after": entry.after.hex() if entry.after else None,
        }

    following = None if found.next is None else [found.next.hex()]
    return answers.page(found.rows, show, context.cursors.write(listing, asked, following))


async def _check_snapshot(context: ApiContext, brand: str, run_id: UUID) -> None:
    run = await context.stores.runs.run(run_id)
    if run.brand != brand or run.state is not RunState.COMMITTED:
        raise RunNotFound(
            f"Brand {brand!r} has no snapshot {run_id}.", remedy="List the brand's snapshots."
        )
