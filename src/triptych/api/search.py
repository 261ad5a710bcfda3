"""Search: by text, by asset, by a picture that is sent; in one brand or in all."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, Field, model_validator

from triptych.api.assets import AssetPath, Filters, matching
from triptych.api.http.dependencies import Context
from triptych.api.http.problems import documented
from triptych.api.http.request_models import PAGE_MAX, BrandText
from triptych.api.http.responses import Json
from triptych.errors import (
    AssetNotFound,
    BrandNotFound,
    NotSearchable,
    SearchUnavailable,
    SnapshotCollected,
)
from triptych.snapshots.asset_ids import ASSET_ID_MAX_CHARS, read_asset_id
from triptych.snapshots.search_service import IMAGE_MAX_BYTES, Matches, Where

UPLOAD_S = 30.0
"""For the whole of a picture to arrive."""
FOUND_DEFAULT = 20
SEARCH_MAX_CHARS = 500

router = APIRouter(tags=["search"])


def _words(text: str | None) -> str | None:
    """Return text that says something."""
    if text is not None and not text.strip():
        raise ValueError("must not be blank")
    return text


class FoundAsked(Filters):
    """What may be found, and how much of it."""

    limit: Annotated[int, Field(ge=1, le=PAGE_MAX, description="Assets to find.")] = FOUND_DEFAULT


class ImageSearchAsked(FoundAsked):
    """Where to search."""

    brand: Annotated[
        BrandText | None, Field(description="In this brand, exactly; else in all of them.")
    ] = None


class SearchAsked(ImageSearchAsked):
    """What to search for: a text or an asset."""

    q: Annotated[
        str | None,
        Field(min_length=1, max_length=SEARCH_MAX_CHARS, description="What it shows, in words."),
        AfterValidator(_words),
    ] = None
    asset: Annotated[
        str | None,
        Field(min_length=1, max_length=ASSET_ID_MAX_CHARS, description="The id of one like it."),
    ] = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.q is None) == (self.asset is None):
            raise ValueError("one of `q` and `asset` is wanted")
        return self


class SimilarAsked(FoundAsked):
    """Which assets, like which."""

    run: Annotated[
        UUID | None, Field(description="The snapshot that the asset is of; else the present one.")
    ] = None


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
    response_model=Matches,
    summary="Search by text or asset",
    responses=PROBLEMS,
)
async def search(context: Context, asked: Annotated[SearchAsked, Query()]) -> Json:
    """The assets that show what a text says, or that look like an asset.

    With `brand` in its present snapshot, exactly. Without, in those of all brands, by an index that
    follows the commits: `unindexed` tells how many brands it has not wholly come to yet.
    """
    where = _where(asked, asked.brand)
    if asked.q is not None:
        return Json(await context.search.by_text(asked.q, where))
    brand, key = read_asset_id(asked.asset or "")
    return Json(await context.search.by_asset(brand, key, where))


@router.post(
    "/search",
    response_model=Matches,
    summary="Search by a picture",
    responses=PROBLEMS,
    openapi_extra=PICTURE,
)
async def search_by_picture(
    request: Request, context: Context, asked: Annotated[ImageSearchAsked, Query()]
) -> Json:
    """The assets that look like the picture whose bytes are the request's body."""
    where = _where(asked, asked.brand)
    with context.search.holding():
        body = await _read(request)
        return Json(await context.search.by_image(body, where))


@router.get(
    "/assets/{asset}/similar",
    response_model=Matches,
    summary="List the assets that look like one",
    responses=documented(AssetNotFound, SnapshotCollected, NotSearchable, SearchUnavailable),
)
async def list_similar(
    context: Context, asset: AssetPath, asked: Annotated[SimilarAsked, Query()]
) -> Json:
    """Its neighbours in its own brand; `/search?asset=` searches in another, or in all."""
    brand, key = asset
    where = _where(asked, brand)
    return Json(await context.search.by_asset(brand, key, where, run_id=asked.run))


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
