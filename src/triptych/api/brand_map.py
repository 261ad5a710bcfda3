"""A brand's map: where each of its assets lies, in a compact form."""

from __future__ import annotations

import struct
from typing import Any
from uuid import UUID

import numpy as np
import orjson
from fastapi import APIRouter, Request, Response

from triptych.api.http.dependencies import BrandPath, Context
from triptych.api.http.problems import documented
from triptych.api.http.streaming import matches
from triptych.errors import BrandNotFound
from triptych.snapshots.search_store import Points

POINTS_MAX = 200_000
"""Points of one map, 6 MB: of a larger brand, those of the lowest keys, an even sample."""
MAP_TYPE = "application/vnd.triptych.map"
MAP_HEADER = struct.Struct("<4sIII16s")
MAP_MAGIC = b"TMAP"
MAP_VERSION = 1

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


def encode_map(run_id: UUID, points: Points | None) -> bytes:
    """Return a map's bytes, all numbers little-endian.

    The layout::

        0   "TMAP"
        4   u32         version, 1
        8   u32         n, the number of points
        12  u32         m, the bytes of the clusters' names
        16  16 bytes    the run's UUID
        32  f32 × n     x
            f32 × n     y
            i32 × n     cluster: which of the names, or -1
            16 bytes × n  keys
            m bytes     the clusters' names: a JSON array, UTF-8

    An asset's id is the base64url, without padding, of its key and the brand's name in UTF-8.
    """
    if points is None:
        return MAP_HEADER.pack(MAP_MAGIC, MAP_VERSION, 0, 2, run_id.bytes) + b"[]"
    names = orjson.dumps(points.names)
    head = MAP_HEADER.pack(MAP_MAGIC, MAP_VERSION, len(points.keys), len(names), run_id.bytes)
    columns = (
        np.asarray(points.x, "<f4"),
        np.asarray(points.y, "<f4"),
        np.asarray(points.clusters, "<i4"),
        np.asarray(points.keys, np.uint8),
    )
    return b"".join([head, *(column.tobytes() for column in columns), names])
