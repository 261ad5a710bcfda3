"""An asset's bytes: whole, in part, or as a thumbnail; never as something that a browser runs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from triptych.api.assets import AssetAsked, AssetPath
from triptych.api.parts import ApiParts, Parts
from triptych.api.problems import documented, problem
from triptych.errors import AssetNotFound, SnapshotCollected, StoreUnavailable
from triptych.model import Asset

CHUNK_BYTES = 1024 * 1024
"""Read from the object store and sent at a time: what one answer holds in memory."""
INLINE = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "audio/mpeg": "mp3",
}
"""What a browser may show by itself: formats that hold no script. All else is downloaded."""
MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,99}")
ACTIVE = re.compile(r"html|xml|svg|script|pdf")
"""Types that a browser could run, were they shown."""
SANDBOX = "default-src 'none'; sandbox"
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

router = APIRouter(tags=["assets"])


class ThumbnailAsked(AssetAsked):
    """How wide."""

    w: Literal["160", "320", "640", "1280"] = "320"


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes ``start`` up to, not including, ``end``."""

    start: int
    end: int


def requested_range(header: str | None, size: int) -> Span | None:
    """Return the part that a Range header asks for; None for the whole.

    One range only; what is malformed or several is answered with the whole, as RFC 9110 allows.

    Raises:
        ValueError: it lies behind the end.
    """
    found = RANGE.fullmatch(header.replace(" ", "")) if header else None
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        span = Span(max(0, size - int(last)), size)
    else:
        span = Span(int(first), min(size, int(last) + 1) if last else size)
        if last and int(last) < int(first):
            return None
    if span.start >= span.end:
        message = "behind the end"
        raise ValueError(message)
    return span


BYTES = {"schema": {"type": "string", "format": "binary"}}
CONTENT_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes.", "content": {"*/*": BYTES}},
    206: {"description": "The part asked for by Range.", "content": {"*/*": BYTES}},
    304: {"description": "The same as that of If-None-Match."},
    **documented(AssetNotFound, SnapshotCollected, StoreUnavailable, 416),
}


@router.get(
    "/assets/{asset}/content",
    response_class=Response,
    summary="Get an asset's bytes",
    responses=CONTENT_ANSWERS,
)
async def get_content(
    request: Request, parts: Parts, asset: AssetPath, asked: Annotated[AssetAsked, Query()]
) -> Response:
    """The bytes as they were fetched. Only pictures, films and sounds are shown inline."""
    return await content(request, parts, asset, asked)


@router.head("/assets/{asset}/content", include_in_schema=False)
async def head_content(
    request: Request, parts: Parts, asset: AssetPath, asked: Annotated[AssetAsked, Query()]
) -> Response:
    """The same without the bytes."""
    return await content(request, parts, asset, asked)


async def content(
    request: Request, parts: ApiParts, asset: tuple[str, bytes], asked: AssetAsked
) -> Response:
    """Answer with an asset's bytes, or the part of them that is asked for."""
    found = await parts.catalogue.asset(*asset, run_id=asked.run)
    etag = f'"{found.sha256.hex()}"'
    headers = {**_headers(found), "ETag": etag, "Accept-Ranges": "bytes"}
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    asks = request.headers.get("range")
    if (condition := request.headers.get("if-range")) is not None and condition != etag:
        asks = None
    size = found.size_bytes
    try:
        part = requested_range(asks, size)
    except ValueError:
        return problem(
            416,
            "range-not-satisfiable",
            "Range Not Satisfiable.",
            f"There are {size} bytes.",
            field="Range",
            headers={"Content-Range": f"bytes */{size}"},
        )
    span = part or Span(0, size)
    headers["Content-Length"] = str(span.end - span.start)
    if part:
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
    status = 206 if part else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    # The first bytes before the answer begins: a store that is away is a 503, not a cut.
    first = Span(span.start, min(span.end, span.start + CHUNK_BYTES))
    head = await _read(parts, found, first)
    return StreamingResponse(
        _stream(parts, found, head, Span(first.end, span.end)), status, headers
    )


async def _read(parts: ApiParts, asset: Asset, span: Span) -> bytes:
    if span.start >= span.end:
        return b""
    return await parts.objects.get_range(asset.object_key, span.start, span.end)


async def _stream(parts: ApiParts, asset: Asset, head: bytes, rest: Span) -> AsyncIterator[bytes]:
    yield head
    for start in range(rest.start, rest.end, CHUNK_BYTES):
        yield await _read(parts, asset, Span(start, min(rest.end, start + CHUNK_BYTES)))


def _headers(asset: Asset) -> dict[str, str]:
    kind = asset.media_type.lower()
    ending = INLINE.get(kind)
    name = asset.sha256.hex()[:16] + (f".{ending}" if ending else "")
    shown = kind if MEDIA_TYPE.fullmatch(kind) and not ACTIVE.search(kind) else None
    return {
        "Content-Type": shown or "application/octet-stream",
        "Content-Disposition": f'{"inline" if ending else "attachment"}; filename="{name}"',
        "Content-Security-Policy": SANDBOX,
        "Cache-Control": "private, no-cache",
    }


def matches(header: str | None, etag: str) -> bool:
    """Tell whether an If-None-Match header names the ETag."""
    if header is None:
        return False
    given = [entry.strip().removeprefix("W/") for entry in header.split(",")]
    return "*" in given or etag in given


@router.get(
    "/assets/{asset}/thumbnail",
    response_class=Response,
    summary="Get a small picture of an asset",
    responses={
        200: {"description": "A WebP.", "content": {"image/webp": BYTES}},
        304: {"description": "The same as that of If-None-Match."},
        **documented(AssetNotFound, SnapshotCollected, StoreUnavailable),
    },
)
async def get_thumbnail(
    request: Request, parts: Parts, asset: AssetPath, asked: Annotated[ThumbnailAsked, Query()]
) -> Response:
    """At most `w` pixels wide, made when first asked for. Only pictures have one."""
    found = await parts.catalogue.asset(*asset, run_id=asked.run)
    etag = f'"{found.sha256.hex()}-{asked.w}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": SANDBOX,
    }
    if matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    body = await parts.thumbnails.get(found.sha256, int(asked.w))
    return Response(body, headers=headers, media_type="image/webp")
