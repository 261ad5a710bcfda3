"""An asset's bytes: whole, in part, or as a thumbnail; a browser never executes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from triptych.api.assets import AssetAsked, AssetPath
from triptych.api.http.dependencies import ApiContext, Context
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.streaming import NO_REFERRER, SANDBOX, Stored, answer_with, matches
from triptych.errors import (
    AssetNotFound,
    ObjectDamaged,
    ObjectMissing,
    SnapshotCollected,
    StoreUnavailable,
)
from triptych.media.signed_thumbnails import Signed
from triptych.media.svg_source import GZIP, SVG
from triptych.media.thumbnails import VERSION
from triptych.model import Asset
from triptych.objects import presentation

router = ResourceRouter("assets")


class ContentAsked(AssetAsked):
    """How an asset's bytes are served."""

    direct: bool = Field(
        False,
        description="If the object store is S3, redirect to a URL of it that is signed for five "
        "minutes. Meant for large assets: their bytes then do not pass through the API, which "
        "cannot check them; compare their SHA-256.",
    )


Width = Literal["160", "320", "640", "1280"]
"""The width of a thumbnail, in pixels."""


class ThumbnailAsked(AssetAsked):
    """The width of a thumbnail, in pixels."""

    w: Width = "320"


BYTES = {"schema": {"type": "string", "format": "binary"}}
CONTENT_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes.", "content": {"*/*": BYTES}},
    206: {"description": "The part that Range asks for.", "content": {"*/*": BYTES}},
    304: {"description": "Not changed: If-None-Match names the current ETag."},
    307: {"description": "The bytes' URL at the object store, valid for five minutes."},
    **documented(
        AssetNotFound, ObjectMissing, ObjectDamaged, SnapshotCollected, StoreUnavailable, 416
    ),
}


@router.get(
    "/assets/{asset}/content",
    response_class=Response,
    summary="Get an asset's bytes",
    responses=CONTENT_ANSWERS,
)
async def get_content(
    request: Request, context: Context, asset: AssetPath, asked: Annotated[ContentAsked, Query()]
) -> Response:
    """The bytes as they were fetched. Only images, video and audio are shown inline.

    All of an asset's bytes are checked against its SHA-256. If they are damaged, the answer is a
    404 up to 1 MiB; of a larger asset the connection is cut before the last chunk. A part (`Range`)
    is not checked.

    An SVG that was fetched compressed is sent with `Content-Encoding: gzip`.
    """
    return await content(request, context, asset, asked)


@router.head("/assets/{asset}/content", include_in_schema=False)
async def head_content(
    request: Request, context: Context, asset: AssetPath, asked: Annotated[ContentAsked, Query()]
) -> Response:
    """The same response without the bytes."""
    return await content(request, context, asset, asked)


async def content(
    request: Request, context: ApiContext, asset: tuple[str, bytes], asked: ContentAsked
) -> Response:
    """Return a response with an asset's bytes, or the requested part of them."""
    found = await context.stores.snapshots.asset(*asset, run_id=asked.run)
    etag = f'"{found.sha256.hex()}"'
    headers = _headers(found)
    if await _is_compressed(context, found):
        headers["Content-Encoding"] = "gzip"
    stored = Stored(found.object_key, found.size_bytes, etag, headers)
    # The object store does not know the coding.
    direct = asked.direct and request.method == "GET" and "Content-Encoding" not in headers
    return await answer_with(request, context.objects, stored, direct=direct)


async def _is_compressed(context: ApiContext, asset: Asset) -> bool:
    """Return whether an asset is a compressed SVG (SVG 2 §1.3), as ``.svgz`` files are.

    Programs take it for what its media type says only with the coding named. That a client may not
    accept the coding is ignored: it would have got the same bytes, unnamed.
    """
    if asset.media_type != SVG:
        return False
    size = min(asset.size_bytes, len(GZIP))
    head = await context.objects.get_range(asset.object_key, 0, size, size_bytes=asset.size_bytes)
    return head == GZIP


def _headers(asset: Asset) -> dict[str, str]:
    shown = presentation(asset.media_type)
    name = asset.sha256.hex()[:16] + (f".{shown.ending}" if shown.ending else "")
    return {
        "Content-Type": shown.media_type,
        "Content-Disposition": f'{shown.disposition}; filename="{name}"',
        "Content-Security-Policy": SANDBOX,
        "Cache-Control": "private, no-cache",
    }


def _cached(signed: Signed) -> dict[str, str]:
    """Return the headers of a redirect that a browser may follow again without asking.

    Another key, or another person's session, asks again: it may not be allowed the brand.
    """
    return {
        "Cache-Control": f"private, max-age={int(signed.valid_s)}",
        "Vary": "Authorization, Cookie",
        **NO_REFERRER,
    }


@router.get(
    "/assets/{asset}/thumbnail",
    response_class=Response,
    summary="Get a thumbnail of an asset",
    responses={
        200: {"description": "A WebP image.", "content": {"image/webp": BYTES}},
        304: {"description": "Not changed: If-None-Match names the current ETag."},
        307: {
            "description": "Its URL at the object store, signed for five minutes, where "
            "TRIPTYCH_DIRECT_THUMBNAILS is set."
        },
        **documented(
            AssetNotFound, ObjectMissing, ObjectDamaged, SnapshotCollected, StoreUnavailable
        ),
    },
)
async def get_thumbnail(
    request: Request, context: Context, asset: AssetPath, asked: Annotated[ThumbnailAsked, Query()]
) -> Response:
    """A thumbnail at most `w` pixels wide, made at the first request. Only images have one."""
    found = await context.stores.snapshots.asset(*asset, run_id=asked.run)
    return await thumbnail(request, context, found.sha256, int(asked.w))


async def thumbnail(
    request: Request, context: ApiContext[Any], sha256: bytes, width: int
) -> Response:
    """Return a response with a thumbnail of the object with that SHA-256, or a redirect to it."""
    etag = f'"{sha256.hex()}-{width}-{VERSION}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": SANDBOX,
    }
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    if context.signed_thumbnails is not None:
        signed = await context.signed_thumbnails.url(sha256, width)
        return RedirectResponse(signed.url, 307, _cached(signed))
    body = await context.thumbnails.get(sha256, width)
    return Response(body, headers=headers, media_type="image/webp")
