"""A brand's map: the position of each of its assets, in a compact binary format."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import Request, Response

from triptych.api.http.dependencies import BrandPath, Context
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.reading import Fresh, read_answers, read_headers
from triptych.api.http.streaming import matches
from triptych.errors import BrandNotFound
from triptych.reads.read_stores import ReadStores
from triptych.snapshots.brand_map import POINTS_MAX, encode_map

MAP_TYPE = "application/vnd.triptych.map"

router = ResourceRouter("brands")

_READ = read_answers(BrandNotFound)
MAP_ANSWERS: dict[int | str, dict[str, Any]] = {
    **_READ,
    200: {
        **_READ[200],
        "description": "The map, little-endian; the API guide describes the format.",
        "content": {MAP_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {**_READ[200], "description": "Not changed: If-None-Match names the current ETag."},
}


@router.get(
    "/brands/{brand}/map",
    response_class=Response,
    summary="Get a brand's map",
    responses=MAP_ANSWERS,
)
async def get_map(
    request: Request, context: Context, brand: BrandPath, fresh: Fresh = False
) -> Response:
    """The position of each asset of the current snapshot, in a compact binary format.

    The map has no points until the AI phase has drawn it. The ETag changes with each drawing.
    """
    known = request.headers.get("if-none-match")

    async def work(stores: ReadStores) -> _Drawing:
        run_id = await stores.brands.snapshot_of(brand)
        at = None if run_id is None else await stores.maps.mapped_at(run_id)
        etag = _etag(run_id, at)
        if matches(known, etag):
            return _Drawing(run_id, etag, None)
        if run_id is None or at is None:
            return _Drawing(run_id, etag, encode_map(UUID(int=0), None))
        points = await stores.maps.points(run_id, limit=POINTS_MAX)
        return _Drawing(run_id, etag, encode_map(run_id, points))

    answer = await context.reads.answer(work, brands=frozenset({brand}), fresh=fresh)
    drawing = answer.value
    headers = {"ETag": drawing.etag, "Cache-Control": "private, no-cache"}
    headers |= read_headers(answer, drawing.run_id)
    if drawing.body is None:
        return Response(status_code=304, headers=headers)
    return Response(drawing.body, headers=headers, media_type=MAP_TYPE)


@dataclass(frozen=True, slots=True)
class _Drawing:
    run_id: UUID | None
    etag: str
    body: bytes | None
    """None if the client has it."""


def _etag(run_id: UUID | None, at: datetime | None) -> str:
    stamp = 0 if at is None else int(at.timestamp() * 1_000_000)
    return f'"{(run_id or UUID(int=0)).hex}-{stamp:x}"'
