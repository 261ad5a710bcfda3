"""Search: by text, by asset, by a picture that is sent; in one brand or in all."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from triptych.api.assets import AssetPath, matching
from triptych.api.http import responses as answers
from triptych.api.http.dependencies import Context
from triptych.api.http.problems import documented
from triptych.api.requests import FoundAsked, ImageSearchAsked, SearchAsked, SimilarAsked
from triptych.api.search_schemas import FoundShown
from triptych.errors import (
    AssetNotFound,
    BrandNotFound,
    NotSearchable,
    SearchUnavailable,
    SnapshotCollected,
)
from triptych.snapshots.asset_ids import read_asset_id
from triptych.snapshots.search_service import IMAGE_MAX_BYTES, Match, Matches, Where

UPLOAD_S = 30.0
"""For the whole of a picture to arrive."""

router = APIRouter(tags=["search"])

PROBLEMS = documented(BrandNotFound, AssetNotFound, NotSearchable, SearchUnavailable)
PICTURE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"The bytes of a picture, {IMAGE_MAX_BYTES // 1024**2} MiB at most, in any "
        "format that is acquired. They are kept nowhere.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get(
    "/search",
    response_model=FoundShown,
    summary="Search by text or asset",
    responses=PROBLEMS,
)
async def search(context: Context, asked: Annotated[SearchAsked, Query()]) -> answers.Json:
    """The assets that show what a text says, or that look like an asset.

    With `brand` in its present snapshot, exactly. Without, in those of all brands, by an index that
    follows the commits: `unindexed` tells how many brands it has not wholly come to yet.
    """
    where = _where(asked, asked.brand)
    if asked.q is not None:
        return _show(await context.search.by_text(asked.q, where))
    brand, key = read_asset_id(asked.asset or "")
    return _show(await context.search.by_asset(brand, key, where))


@router.post(
    "/search",
    response_model=FoundShown,
    summary="Search by a picture",
    responses=PROBLEMS,
    openapi_extra=PICTURE,
)
async def search_by_picture(
    request: Request, context: Context, asked: Annotated[ImageSearchAsked, Query()]
) -> answers.Json:
    """The assets that look like the picture whose bytes are the request's body."""
    where = _where(asked, asked.brand)
    with context.search.holding():
        body = await _read(request)
        return _show(await context.search.by_image(body, where))


@router.get(
    "/assets/{asset}/similar",
    response_model=FoundShown,
    summary="List the assets that look like one",
    responses=documented(AssetNotFound, SnapshotCollected, NotSearchable, SearchUnavailable),
)
async def list_similar(
    context: Context, asset: AssetPath, asked: Annotated[SimilarAsked, Query()]
) -> answers.Json:
    """Its neighbours in its own brand; `/search?asset=` searches in another, or in all."""
    brand, key = asset
    where = _where(asked, brand)
    return _show(await context.search.by_asset(brand, key, where, run_id=asked.run))


def _where(asked: FoundAsked, brand: str | None) -> Where:
    return Where(brand, asked.limit, matching(asked))


async def _read(request: Request) -> bytes:
    """Return the body, which is capped at the door.

    Raises:
        SearchUnavailable: it does not arrive.
    """
    try:
        async with asyncio.timeout(UPLOAD_S):
            return await request.body()
    except TimeoutError as error:
        raise SearchUnavailable(f"The picture did not arrive within {UPLOAD_S:g} s.") from error


def _show(found: Matches) -> answers.Json:
    def show(match: Match) -> dict[str, Any]:
        return {
            "similarity": match.similarity,
            "score": match.score,
            "asset": answers.asset(match.asset),
        }

    return answers.Json(
        {
            "items": [show(match) for match in found.rows],
            "model": found.model,
            "exact": found.exact,
            "unindexed": found.unindexed,
        }
    )
