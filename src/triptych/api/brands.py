"""Brands: their source, schedule, newest run and insights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query, Request
from msgspec.structs import replace
from pydantic import AfterValidator, Field

from triptych.api.http.auth import HttpReader, Operating
from triptych.api.http.dependencies import ApiContext, BrandPath, Context
from triptych.api.http.idempotency import IdempotencyKey, Operation, Outcome, run_idempotent
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.reading import Fresh, FreshAsked, read_answers, read_headers
from triptych.api.http.request_models import (
    TEXT_MAX_CHARS,
    Given,
    PageAsked,
    ShortText,
    storable,
)
from triptych.api.http.responses import Json
from triptych.api.sources import SourceText, check_source
from triptych.errors import BrandNotFound, InvalidCursor, RunNotFound
from triptych.model import AiState, RunState, Slice
from triptych.reads.read_stores import ReadStores
from triptych.runs.run_shown import BrandShown
from triptych.shown_url import is_shown, shown_url
from triptych.snapshots.asset_ids import asset_id
from triptych.snapshots.snapshot_store import Insights
from triptych.tasks.task_store import Task, TaskState
from triptych.wire import Page

router = ResourceRouter("brands")

CronText = Annotated[str, Field(max_length=TEXT_MAX_CHARS), AfterValidator(storable)]


class BrandsAsked(FreshAsked, PageAsked):
    """The filters and the page of a listing of brands."""

    name: Annotated[
        ShortText | None,
        Field(description="Part of the name."),
    ] = None
    state: Annotated[RunState | None, Field(description="State of the brand's newest run.")] = None


class BrandGiven(Given):
    """A brand's new source and schedule; a field that is left out is removed."""

    source: SourceText | None = None
    schedule: Annotated[
        CronText | None,
        Field(
            description="A cron expression with five fields, in UTC: when runs start.",
        ),
    ] = None


@router.get(
    "/brands",
    response_model=Page[BrandShown],
    summary="List the brands, each with its newest run",
    responses=read_answers(InvalidCursor, of_snapshot=False),
)
async def list_brands(
    context: Context, identity: HttpReader, asked: Annotated[BrandsAsked, Query()]
) -> Json:
    """Brands in order of name, each with the state, counts and phase of its newest run.

    A key that is limited to brands lists only these.
    """
    position = context.cursors.read("brands", asked)

    async def work(stores: ReadStores) -> Slice[BrandShown, str]:
        found = await stores.brands.brands_slice(
            after=position[0] if position else "",
            name=asked.name,
            state=asked.state,
            limit=asked.limit,
            among=identity.brands,
        )
        return Slice(await _with_covers(stores, found.rows), found.next)

    answer = await context.reads.answer(work, brands=identity.brands, fresh=asked.fresh)
    found = answer.value
    following = [found.next] if found.next is not None else None
    page = Page(list(found.rows), context.cursors.write("brands", asked, following))
    return Json(page, headers=read_headers(answer))


async def _with_covers(stores: ReadStores, brands: Sequence[BrandShown]) -> Sequence[BrandShown]:
    """Return brands with their covers: one read for all of them."""
    named = [brand.name for brand in brands if brand.current_run is not None]
    keys = await stores.snapshots.covers(named) if named else {}
    return [
        replace(brand, covers=[asset_id(brand.name, key) for key in keys.get(brand.name, ())])
        for brand in brands
    ]


@router.get(
    "/brands/{brand}",
    response_model=BrandShown,
    summary="Show a brand",
    responses=read_answers(BrandNotFound, of_snapshot=False),
)
async def get_brand(context: Context, brand: BrandPath, fresh: Fresh = False) -> Json:
    """One brand, with its newest run."""

    async def work(stores: ReadStores) -> BrandShown:
        (found,) = await _with_covers(stores, [await stores.brands.scheduled(brand)])
        return found

    answer = await context.reads.answer(work, brands=frozenset({brand}), fresh=fresh)
    return Json(answer.value, headers=read_headers(answer))


@router.put(
    "/brands/{brand}",
    response_model=Task,
    status_code=202,
    summary="Set a brand's source and schedule",
    responses=documented(409),
)
async def put_brand(
    request: Request,
    context: Context,
    identity: Operating,
    brand: BrandPath,
    body: BrandGiven,
    key: IdempotencyKey = None,
) -> Json:
    """Create a brand, or replace its source and schedule. A field that is left out is removed.

    The brand's source as it is shown, with parts hidden, stands for the one that it has.
    """
    source = await _meant(context, brand, body.source)
    trusted = await check_source(request, context, source, brand=brand)

    async def work(_made: object) -> Outcome:
        if source is not None and trusted:
            await context.stores.brands.trust_source(brand, source)
        await context.registry.schedule(brand, source=source, schedule=body.schedule)
        return Outcome(TaskState.DONE)

    operation = Operation(
        request, context, identity, key, "put_brand", f"brand:{brand}", brand, body
    )
    return await run_idempotent(operation, work)


async def _meant(context: ApiContext, brand: str, given: str | None) -> str | None:
    """Return the source that is meant: who changes a schedule sends back what was shown."""
    if given is None or not is_shown(given):
        return given
    try:
        present = (await context.stores.brands.brand(brand)).source
    except BrandNotFound:
        return given
    return present if present is not None and shown_url(present) == given else given


@router.get(
    "/brands/{brand}/insights",
    response_model=Insights,
    summary="Show what the AI phase found",
    responses=read_answers(BrandNotFound),
)
async def get_insights(context: Context, brand: BrandPath, fresh: Fresh = False) -> Json:
    """Every AI step's result for the brand's current snapshot."""

    async def work(stores: ReadStores) -> Insights:
        run_id = await stores.brands.snapshot_of(brand)
        if run_id is None:
            return Insights(None, AiState.NONE, None, [])
        runs = await stores.runs.runs_of([run_id])
        if not runs:
            raise RunNotFound  # The brand was deleted meanwhile.
        found = await stores.snapshots.insights(run_id)
        return Insights(run_id, runs[0].ai_state, runs[0].ai_reason, list(found))

    answer = await context.reads.answer(work, brands=frozenset({brand}), fresh=fresh)
    return Json(answer.value, headers=read_headers(answer, answer.value.run))
