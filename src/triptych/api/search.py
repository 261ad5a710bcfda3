"""Search by text, by asset or by an uploaded image, in one brand or in all brands."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, Self
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import AfterValidator, Field, model_validator
from starlette.requests import ClientDisconnect

from triptych.api.assets import AssetPath, Filters, matching
from triptych.api.http.auth import HttpReader
from triptych.api.http.dependencies import Context
from triptych.api.http.operations import ResourceRouter
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
"""Seconds for an image to arrive completely."""
CLIENT_GONE = 499
"""Status, in metrics, of a request whose client closed the connection: nobody gets the answer."""
FOUND_DEFAULT = 20
SEARCH_MAX_CHARS = 500

router = ResourceRouter("search")


def _words(text: str | None) -> str | None:
    """Return text that is not blank."""
    if text is not None and not text.strip():
        raise ValueError("must not be blank")
    return text


class FoundAsked(Filters):
    """The filters of a search and its number of results."""

    limit: Annotated[int, Field(ge=1, le=PAGE_MAX, description="Maximum number of assets.")] = (
        FOUND_DEFAULT
    )
    fold: Annotated[
        bool, Field(description="One hit a picture; false: copies and duplicates one by one.")
    ] = True


class ImageSearchAsked(FoundAsked):
    """The scope of a search."""

    brand: Annotated[
        BrandText | None, Field(description="Search exactly in this brand; by default in all.")
    ] = None


class SearchAsked(ImageSearchAsked):
    """A search by text or by asset."""

    q: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=SEARCH_MAX_CHARS,
            description="What the assets show, in words; or their tags, names, metadata.",
        ),
        AfterValidator(_words),
    ] = None
    asset: Annotated[
        str | None,
        Field(
            min_length=1, max_length=ASSET_ID_MAX_CHARS, description="The id of a similar asset."
        ),
    ] = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.q is None) == (self.asset is None):
            raise ValueError("give either `q` or `asset`")
        return self


class SimilarAsked(FoundAsked):
    """The filters and the snapshot of a search for similar assets."""

    run: Annotated[
        UUID | None, Field(description="The asset's snapshot; by default the current one.")
    ] = None


PROBLEMS = documented(BrandNotFound, AssetNotFound, NotSearchable, SearchUnavailable)
PICTURE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"The bytes of an image, at most {IMAGE_MAX_BYTES // 1024**2} MiB, in any "
        "format that phase 2 accepts. They are not stored.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get(
    "/search",
    response_model=Matches,
    summary="Search by text or by asset",
    responses=PROBLEMS,
)
async def search(context: Context, asked: Annotated[SearchAsked, Query()]) -> Json:
    """The assets that show what a text describes or have its words, or that look like another one.

    Words of the text are looked for in tags, file names, metadata and brands' names; assets that
    have all of them come first. `matching` is 0 where nothing matches: then the items are only the
    nearest there are.

    With `brand`, the search is exact and covers the brand's current snapshot. Without it, the
    search uses an index of all brands' snapshots, which is updated after each commit: `unindexed`
    is the number of brands that are not fully indexed yet.
    """
    where = _where(asked, asked.brand)
    if asked.q is not None:
        return Json(await context.search.by_text(asked.q, where))
    brand, key = read_asset_id(asked.asset or "")
    return Json(await context.search.by_asset(brand, key, where))


@router.post(
    "/search",
    response_model=Matches,
    summary="Search by an image",
    responses=PROBLEMS,
    openapi_extra=PICTURE,
)
async def search_by_picture(
    request: Request,
    context: Context,
    reader: HttpReader,
    asked: Annotated[ImageSearchAsked, Query()],
) -> Response:
    """The assets that look like the image in the request's body.

    An identity has a few images in work at a time (429 beyond); all of them together have a limit,
    too (503).
    """
    where = _where(asked, asked.brand)
    search = context.search
    with search.holding(reader.name):
        try:
            body = await _read(request)
            found = search.by_image(body, where, identity=reader.name)
            return Json(await _while_connected(request, found))
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)


@router.get(
    "/assets/{asset}/similar",
    response_model=Matches,
    summary="List similar assets",
    responses=documented(AssetNotFound, SnapshotCollected, NotSearchable, SearchUnavailable),
)
async def list_similar(
    context: Context, asset: AssetPath, asked: Annotated[SimilarAsked, Query()]
) -> Json:
    """Its neighbours in its own brand; `/search?asset=` searches another brand or all brands."""
    brand, key = asset
    where = _where(asked, brand)
    return Json(await context.search.by_asset(brand, key, where, run_id=asked.run))


def _where(asked: FoundAsked, brand: str | None) -> Where:
    return Where(brand, asked.limit, matching(asked), asked.fold)


async def _read(request: Request) -> bytes:
    """Return the body, whose size the middleware has already limited.

    Raises:
        SearchUnavailable: the body did not arrive within `UPLOAD_S`.
    """
    try:
        async with asyncio.timeout(UPLOAD_S):
            return await request.body()
    except TimeoutError as error:
        raise SearchUnavailable(f"The image did not arrive within {UPLOAD_S:g} s.") from error


async def _while_connected(request: Request, work: Coroutine[Any, Any, Matches]) -> Matches:
    """Return what ``work`` returns; cancel it if the client goes away.

    Raises:
        ClientDisconnect: it is gone.
    """
    searching = asyncio.create_task(work)
    # The body has been read, so the next message says that the client is gone.
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({searching, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not searching.done():
            raise ClientDisconnect
        return searching.result()
    finally:
        for task in (searching, gone):
            task.cancel()
        await asyncio.gather(searching, gone, return_exceptions=True)
