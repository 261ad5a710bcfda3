"""Brands: what they are, what they brought, and their insights."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from triptych.api.http import responses as answers
from triptych.api.http.auth import Operating
from triptych.api.http.dependencies import BrandPath, Context
from triptych.api.http.idempotency import IdempotencyKey, Operation, Outcome, run_idempotent
from triptych.api.http.problems import documented
from triptych.api.requests import BrandGiven, BrandsAsked
from triptych.api.schemas import BrandShown, InsightsShown, Page, TaskShown
from triptych.api.sources import check_source
from triptych.errors import BrandNotFound, InvalidCursor
from triptych.model import AiState
from triptych.tasks.task_store import TaskState

router = APIRouter(tags=["brands"])


@router.get(
    "/brands",
    response_model=Page[BrandShown],
    summary="List the brands, each with its newest run",
    responses=documented(InvalidCursor),
)
async def list_brands(context: Context, asked: Annotated[BrandsAsked, Query()]) -> answers.Json:
    """Brands by name, with the state, counts and phase of each one's newest run."""
    position = context.cursors.read("brands", asked)
    found = await context.stores.brands.brands_slice(
        after=position[0] if position else "",
        name=asked.name,
        state=asked.state,
        limit=asked.limit,
    )
    following = [found.next] if found.next is not None else None
    return answers.page(
        found.rows, answers.brand, context.cursors.write("brands", asked, following)
    )


@router.get(
    "/brands/{brand}",
    response_model=BrandShown,
    summary="Show a brand",
    responses=documented(BrandNotFound),
)
async def get_brand(context: Context, brand: BrandPath) -> answers.Json:
    """One brand, with its newest run."""
    return answers.Json(answers.brand(await context.stores.brands.scheduled(brand)))


@router.put(
    "/brands/{brand}",
    response_model=TaskShown,
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
) -> answers.Json:
    """Make a brand, or replace its source and schedule. What is left out is taken away."""
    check_source(context, body.source)

    async def work(_made: object) -> Outcome:
        await context.registry.schedule(brand, source=body.source, schedule=body.schedule)
        return Outcome(TaskState.DONE)

    operation = Operation(
        request, context, identity, key, "put_brand", f"brand:{brand}", brand, body
    )
    return await run_idempotent(operation, work)


@router.get(
    "/brands/{brand}/insights",
    response_model=InsightsShown,
    summary="Show what the AI phase found",
    responses=documented(BrandNotFound),
)
async def get_insights(context: Context, brand: BrandPath) -> answers.Json:
    """Every step's result over the brand's present snapshot."""
    run_id = await context.stores.brands.snapshot_of(brand)
    if run_id is None:
        return answers.Json({"run": None, "ai_state": AiState.NONE, "ai_reason": None, "items": []})
    run = await context.stores.runs.run(run_id)
    found = await context.stores.snapshots.insights(run_id)
    items = [
        {"kind": i.kind, "result": i.result, "error": i.error, "seconds": i.seconds} for i in found
    ]
    return answers.Json(
        {"run": run_id, "ai_state": run.ai_state, "ai_reason": run.ai_reason, "items": items}
    )
