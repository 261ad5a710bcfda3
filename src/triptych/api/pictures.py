"""A brand as a picture of itself: its map; and beside another."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response

from triptych.api.http import responses as answers
from triptych.api.http.dependencies import BrandPath, Context
from triptych.api.http.problems import documented
from triptych.api.http.streaming import matches
from triptych.api.search_schemas import ComparisonShown
from triptych.errors import BrandNotFound, NotSearchable, SearchUnavailable
from triptych.messages import BRAND_MAX_CHARS, check_brand
from triptych.snapshots.brand_map import encode_map
from triptych.snapshots.comparison import Pair, compare

POINTS_MAX = 200_000
"""Points of one map, 6 MB: of a larger brand, those of the lowest keys, an even sample."""
MAP_TYPE = "application/vnd.triptych.map"

router = APIRouter(tags=["brands"])

MAP_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The map, little-endian: see the guide to the API.",
        "content": {MAP_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "The same as that of If-None-Match."},
    **documented(BrandNotFound),
}


@router.get(
    "/brands/{brand}/map",
    response_class=Response,
    summary="Get a brand's map",
    responses=MAP_ANSWERS,
)
async def get_map(request: Request, context: Context, brand: BrandPath) -> Response:
    """Where each asset of the present snapshot lies on the brand's map, in a compact form.

    Without points before the AI phase has drawn it. The ETag changes with what is drawn.
    """
    run_id = await context.stores.brands.snapshot_of(brand)
    at = None if run_id is None else await context.stores.search.mapped_at(run_id)
    stamp = 0 if at is None else int(at.timestamp() * 1_000_000)
    etag = f'"{(run_id or UUID(int=0)).hex}-{stamp:x}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    if run_id is None or at is None:
        return Response(encode_map(UUID(int=0), None), headers=headers, media_type=MAP_TYPE)
    points = await context.stores.search.points(run_id, limit=POINTS_MAX)
    return Response(encode_map(run_id, points), headers=headers, media_type=MAP_TYPE)


async def _other(
    other: Annotated[
        str,
        Path(
            min_length=1,
            max_length=BRAND_MAX_CHARS,
            description="The other brand's name.",
            examples=["adidas"],
        ),
    ],
) -> str:
    return check_brand(other)


@router.get(
    "/brands/{brand}/compare/{other}",
    response_model=ComparisonShown,
    summary="Compare two brands",
    responses=documented(BrandNotFound, NotSearchable, SearchUnavailable),
)
async def compare_brands(
    context: Context, brand: BrandPath, other: Annotated[str, Depends(_other)]
) -> answers.Json:
    """How near the centres of the present snapshots lie, and which assets they have in common."""
    found = await compare(
        context.stores.brands, context.stores.snapshots, context.stores.search, brand, other
    )

    def show(pair: Pair) -> dict[str, Any]:
        return {
            "similarity": pair.similarity,
            "asset": answers.asset(pair.one),
            "other": answers.asset(pair.other),
        }

    def pairs(count: int, named: Any) -> dict[str, Any]:
        return {"count": count, "items": [show(pair) for pair in named]}

    return answers.Json(
        {
            "brand": brand,
            "other": other,
            "runs": found.runs,
            "model": found.model,
            "similarity": found.similarity,
            "compared": found.compared,
            "shared": pairs(found.shared, found.shared_pairs),
            "lookalikes": pairs(found.lookalikes, found.lookalike_pairs),
        }
    )
