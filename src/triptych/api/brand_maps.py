"""A brand's map: the position of each of its assets, in a compact binary format."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from triptych.api.http.dependencies import BrandPath, Context
from triptych.api.http.problems import documented
from triptych.api.http.streaming import matches
from triptych.errors import BrandNotFound
from triptych.snapshots.brand_map import POINTS_MAX, encode_map

MAP_TYPE = "application/vnd.triptych.map"

router = APIRouter(tags=["brands"])

MAP_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The map, little-endian; the API guide describes the format.",
        "content": {MAP_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "Not changed: If-None-Match names the current ETag."},
    **documented(BrandNotFound),
}


@router.get(
    "/brands/{brand}/map",
    response_class=Response,
    summary="Get a brand's map",
    responses=MAP_ANSWERS,
)
async def get_map(request: Request, context: Context, brand: BrandPath) -> Response:
    """The position of each asset of the current snapshot, in a compact binary format.

    The map has no points until the AI phase has drawn it. The ETag changes with each drawing.
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
