"""Snapshots: a brand's committed states over time, and the difference between two of them."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from pydantic import Field

from triptych.api.http.dependencies import BrandPath, Context
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.paging import from_age, to_age
from triptych.api.http.problems import documented
from triptych.api.http.reading import Fresh, FreshAsked, read_answers, read_headers
from triptych.api.http.request_models import PageAsked
from triptych.api.http.responses import Json
from triptych.errors import BrandNotFound, InvalidCursor, RunNotFound, SnapshotCollected
from triptych.model import Age, Run, Slice
from triptych.reads.read_stores import ReadStores, RunReads
from triptych.runs.restore_rules import check_snapshot
from triptych.snapshots.snapshot_shown import SnapshotShown
from triptych.snapshots.snapshot_store import Difference, DifferenceCounts
from triptych.wire import Page

router = ResourceRouter("snapshots")


class SnapshotsAsked(FreshAsked, PageAsked):
    """The page of a listing of snapshots."""


class DifferenceAsked(PageAsked):
    """The filter and the page of a difference."""

    change: Annotated[Literal["added", "removed", "changed"] | None, Field()] = None


@router.get(
    "/brands/{brand}/snapshots",
    response_model=Page[SnapshotShown],
    summary="List a brand's snapshots",
    responses=read_answers(BrandNotFound, InvalidCursor, of_snapshot=False),
)
async def list_snapshots(
    context: Context, brand: BrandPath, asked: Annotated[SnapshotsAsked, Query()]
) -> Json:
    """What the brand's runs committed, newest first."""
    listing = f"snapshots/{brand}"
    before = to_age(context.cursors.read(listing, asked))

    async def work(stores: ReadStores) -> tuple[UUID | None, Slice[Run, Age]]:
        current = await stores.brands.snapshot_of(brand)
        found = await stores.snapshots.snapshots_slice(brand, before=before, limit=asked.limit)
        return current, found

    answer = await context.reads.answer(work, brands=frozenset({brand}), fresh=asked.fresh)
    current, found = answer.value
    items = [SnapshotShown.of(run, current=current) for run in found.rows]
    following = context.cursors.write(listing, asked, from_age(found.next))
    return Json(Page(items, following), headers=read_headers(answer))


@router.get(
    "/brands/{brand}/snapshots/{snapshot}",
    response_model=SnapshotShown,
    summary="Show a snapshot of a brand",
    responses=read_answers(BrandNotFound, RunNotFound),
)
async def get_snapshot(
    context: Context, brand: BrandPath, snapshot: UUID, fresh: Fresh = False
) -> Json:
    """What one of the brand's runs committed, and whether it is the current snapshot."""

    async def work(stores: ReadStores) -> SnapshotShown:
        run = await snapshot_run(stores.runs, brand, snapshot)
        return SnapshotShown.of(run, current=await stores.brands.snapshot_of(brand))

    answer = await context.reads.answer(work, brands=frozenset({brand}), fresh=fresh)
    return Json(answer.value, headers=read_headers(answer, snapshot))


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
        await snapshot_run(context.stores.runs, brand, run_id)
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


@router.get(
    "/brands/{brand}/snapshots/{old}/diff/{new}/counts",
    response_model=DifferenceCounts,
    summary="Count what two snapshots of a brand have otherwise",
    responses=documented(BrandNotFound, RunNotFound, SnapshotCollected),
)
async def count_difference(context: Context, brand: BrandPath, old: UUID, new: UUID) -> Json:
    """How many URLs were added or removed, or have other content, from `old` to `new`."""
    for run_id in (old, new):
        await snapshot_run(context.stores.runs, brand, run_id)
    return Json(await context.stores.snapshots.difference_counts(old, new))


async def snapshot_run(runs: RunReads, brand: str, snapshot: UUID) -> Run:
    """Return the run of a brand's snapshot.

    Raises:
        RunNotFound: the brand has no such snapshot.
    """
    found = await runs.runs_of([snapshot])
    return check_snapshot(found[0] if found else None, brand, snapshot)
