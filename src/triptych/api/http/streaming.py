"""Objects as responses: whole, or the part that a Range header asks for, streamed in chunks.

A whole object is checked against its hash. One of at most `CHUNK_BYTES` is checked before the
response begins, so that a damaged one is answered by a problem. Of a larger one all but the last
chunk is sent while it is hashed: to hash it first would be to read it twice. If it is damaged, the
connection is cut before the last chunk: the response is shorter than its Content-Length says, and
no client takes it for complete (RFC 9112 §8).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from triptych.api.http.problems import problem
from triptych.objects import CHUNK_BYTES, ObjectStore

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
SANDBOX = "default-src 'none'; sandbox"
"""Content-Security-Policy of bytes that come from elsewhere."""


NO_REFERRER = {"Referrer-Policy": "no-referrer"}
"""A signed URL must not be sent to other sites."""


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from ``start`` up to, but not including, ``end``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored object, and the headers of its response."""

    key: str
    size_bytes: int
    etag: str
    """The ETag, with its quotes."""
    headers: Mapping[str, str]
    sha256: bytes | None = None
    """The hash that all of it must have; None if its key says it, or nobody knows it."""


def requested_range(header: str | None, size: int) -> Span | None:
    """Return the part that a Range header asks for; None for the whole.

    Only a single range is supported. Malformed or multiple ranges are ignored and the whole is
    returned, as RFC 9110 allows.

    Raises:
        ValueError: the range starts after the end.
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
        raise ValueError("the range starts after the end")
    return span


async def answer_with(
    request: Request, store: ObjectStore, stored: Stored, *, direct: bool = False
) -> Response:
    """Return a response with an object, or the requested part of it (RFC 9110 §13, §14).

    ``direct`` redirects to the object store, if that can sign URLs.

    Raises:
        ObjectMissing, StoreUnavailable: before the response begins; after that, the connection is
            cut.
    """
    headers = {**stored.headers, "ETag": stored.etag, "Accept-Ranges": "bytes"}
    if matches(request.headers.get("if-none-match"), stored.etag):
        return Response(status_code=304, headers=headers)
    if direct and (url := await store.signed_url(stored.key)) is not None:
        return RedirectResponse(url, 307, {"Cache-Control": "no-store", **NO_REFERRER})
    asks = request.headers.get("range")
    if (condition := request.headers.get("if-range")) is not None and condition != stored.etag:
        asks = None
    size = stored.size_bytes
    try:
        part = requested_range(asks, size)
    except ValueError:
        return problem(
            416,
            "range-not-satisfiable",
            "Range Not Satisfiable.",
            f"The object has {size} bytes.",
            field="Range",
            headers={"Content-Range": f"bytes */{size}"},
        )
    span = part or Span(0, size)
    headers["Content-Length"] = str(span.end - span.start)
    if part:
        headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
    status = 206 if part else 200
    if request.method == "HEAD":
        await store.check_present(stored.key, size)
        return Response(status_code=status, headers=headers)
    # Read before the response begins, so an unavailable store is a 503, not a cut connection.
    chunks = _chunks(store, stored, span)
    head = await anext(chunks, b"")
    return StreamingResponse(_stream(head, chunks), status, headers)


def _chunks(store: ObjectStore, stored: Stored, span: Span) -> AsyncIterator[bytes]:
    """Return the chunks of an object; the hash of a part cannot be checked."""
    if span == Span(0, stored.size_bytes):
        return store.stream(stored.key, size_bytes=stored.size_bytes, sha256=stored.sha256)
    return _part(store, stored, span)


async def _part(store: ObjectStore, stored: Stored, span: Span) -> AsyncIterator[bytes]:
    for start in range(span.start, span.end, CHUNK_BYTES):
        end = min(span.end, start + CHUNK_BYTES)
        yield await store.get_range(stored.key, start, end, size_bytes=stored.size_bytes)


async def _stream(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in rest:
        yield chunk


def matches(header: str | None, etag: str) -> bool:
    """Return whether an If-None-Match header names an ETag."""
    if header is None:
        return False
    given = [entry.strip().removeprefix("W/") for entry in header.split(",")]
    return "*" in given or etag in given
