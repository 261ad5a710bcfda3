"""Uploads: lists that operators bring as files, to be read as sources."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated, ClassVar
from uuid import UUID

from fastapi import Query, Request, Response
from msgspec import Meta
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from triptych.access.identity import Identity
from triptych.api.http.auth import Operating
from triptych.api.http.dependencies import ApiContext, Context
from triptych.api.http.idempotency import IdempotencyKey, Operation, Outcome, accept_once
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.paging import from_age, to_age
from triptych.api.http.problems import documented
from triptych.api.http.request_models import PageAsked
from triptych.api.http.responses import Json
from triptych.api.sources import is_visible
from triptych.errors import (
    BadInput,
    Conflict,
    IdempotencyKeyReused,
    InvalidCursor,
    TooManyRequests,
)
from triptych.tasks.task_store import Audit, TaskState
from triptych.uploads.upload_files import clean_name
from triptych.uploads.upload_store import (
    NewUpload,
    Upload,
    UploadNotFound,
    source_of,
    upload_not_found,
)
from triptych.wire import Wire

NAME_GIVEN_MAX_CHARS = 1_000
"""Characters of a name that is given; `clean_name` keeps fewer."""
KIND = "upload"
NO_ROW = (Conflict, IdempotencyKeyReused, UploadNotFound)
"""After these no row has the object that was stored. After any other error one may have it, and the
collector looks."""

router = ResourceRouter("uploads")


class UploadShown(Wire, frozen=True):
    """An uploaded list."""

    COMPONENT: ClassVar[str] = "Upload"

    id: UUID
    source: Annotated[
        str,
        Meta(description="Names it as a source; options such as `#url-column=` go behind it."),
    ]
    name: Annotated[str, Meta(description="The file's, for people.")]
    size_bytes: int
    sha256: Annotated[str, Meta(description="Of its bytes, in hexadecimal digits.")]
    uploaded_by: Annotated[str, Meta(description="The identity that sent it.")]
    created_at: datetime
    kept_until: Annotated[
        datetime | None,
        Meta(
            description="When it is deleted if nothing uses it until then; null while it is a "
            "brand's source."
        ),
    ]
    brands: Annotated[list[str], Meta(description="The first brands, by name, whose source it is.")]


class Uploads(Wire, frozen=True):
    """A page of the uploads."""

    COMPONENT: ClassVar[str] = "Uploads"

    items: list[UploadShown]
    next: Annotated[
        str | None, Meta(description="The next page's `cursor`; null on the last page.")
    ]
    max_bytes: Annotated[int, Meta(description="Bytes that one upload may have.")]


class UploadDescribed(BaseModel):
    """What makes two requests for an upload the same."""

    name: str
    size_bytes: int
    sha256: str


@router.post(
    "/uploads",
    response_model=UploadShown,
    status_code=201,
    summary="Upload a list",
    responses=documented(Conflict, TooManyRequests, UploadNotFound),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {
                    "schema": {"type": "string", "format": "binary", "minLength": 1}
                }
            },
        }
    },
)
async def make_upload(
    request: Request,
    context: Context,
    identity: Operating,
    name: Annotated[
        str,
        Query(
            min_length=1,
            max_length=NAME_GIVEN_MAX_CHARS,
            description="The file's name, for people; its folders are left out. What the file is, "
            "its content says.",
            examples=["shoes.xlsx"],
        ),
    ],
    key: IdempotencyKey = None,
) -> Json:
    """The body is the file: CSV, Excel, JSON, Parquet, a feed or a sitemap, also as gzip or zip.

    It has at most `TRIPTYCH_UPLOAD_MAX_BYTES`. `source` of the answer is checked by
    `POST /sources/check`, and taken by `POST /brands/{brand}/runs`. The file is kept for
    `TRIPTYCH_KEEP_UPLOADS_S` after its last use, and for as long as it is a brand's source.
    """
    context.uploads.check_size(request.headers.get("content-length"))
    received = await context.uploads.receive(_body(request))
    described = UploadDescribed(
        name=clean_name(name), size_bytes=received.size_bytes, sha256=received.sha256.hex()
    )

    async def work(made: UUID) -> Outcome:
        upload = NewUpload(
            made,
            received.object_key,
            described.name,
            received.size_bytes,
            received.sha256,
            identity.name,
        )
        await context.stores.uploads.put_upload(upload)
        return Outcome(TaskState.DONE, result={"upload": str(made)})

    operation = Operation(request, context, identity, key, KIND, "uploads", body=described)
    try:
        task = await accept_once(operation, work)
        kept = await context.stores.uploads.upload(UUID(task.result["upload"]))
    except NO_ROW:
        await context.uploads.discard(received.object_key)
        raise
    if kept.object_key != received.object_key:
        # The request was repeated.
        await context.uploads.discard(received.object_key)
    shown = _shown(kept, context, identity)
    return Json(shown, 201, headers={"Location": f"/api/v1/uploads/{kept.id}"})


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise BadInput("The upload broke off.", field="body", remedy="Send it again.") from error


@router.get(
    "/uploads",
    response_model=Uploads,
    summary="List the uploads, newest first",
    responses=documented(InvalidCursor, 403),
)
async def list_uploads(
    context: Context, identity: Operating, asked: Annotated[PageAsked, Query()]
) -> Json:
    """All that are kept; for a key that is limited to brands, those that it has sent itself."""
    found = await context.stores.uploads.uploads(
        uploaded_by=None if identity.brands is None else identity.name,
        before=to_age(context.cursors.read("uploads", asked)),
        limit=asked.limit,
    )
    following = context.cursors.write("uploads", asked, from_age(found.next))
    items = [_shown(each, context, identity) for each in found.rows]
    return Json(Uploads(items, following, context.settings.upload_max_bytes))


@router.get(
    "/uploads/{upload}",
    response_model=UploadShown,
    summary="Show an upload",
    responses=documented(UploadNotFound),
)
async def get_upload(context: Context, identity: Operating, upload: UUID) -> Json:
    """What is known of it; its bytes are not given out again."""
    return Json(_shown(await _found(context, identity, upload), context, identity))


@router.delete(
    "/uploads/{upload}",
    status_code=204,
    response_class=Response,
    summary="Delete an upload",
    responses=documented(UploadNotFound, Conflict),
)
async def delete_upload(context: Context, identity: Operating, upload: UUID) -> Response:
    """Refused while a brand has it as its source, or an active run reads it.

    Its bytes are deleted at once, or, while a backup is made, after that.
    """
    await _found(context, identity, upload)
    removed = await context.stores.uploads.remove_upload(upload)
    await context.stores.tasks.record_audit(
        Audit(identity.name, "delete_upload", f"upload:{upload}")
    )
    if removed.deletable:
        await context.uploads.discard(removed.object_key)
    return Response(status_code=204)


async def _found(context: ApiContext, identity: Identity, upload: UUID) -> Upload:
    """Return an upload that the identity may see.

    Raises:
        UploadNotFound: there is none, or it may not.
    """
    found = await context.stores.uploads.upload(upload)
    if not is_visible(found, identity):
        raise upload_not_found(upload)
    return found


def _shown(upload: Upload, context: ApiContext, identity: Identity) -> UploadShown:
    kept_s = context.settings.keep_uploads_s
    brands = [name for name in upload.brands if identity.brands is None or name in identity.brands]
    return UploadShown(
        id=upload.id,
        source=source_of(upload.id),
        name=upload.name,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256.hex(),
        uploaded_by=upload.uploaded_by,
        created_at=upload.created_at,
        kept_until=None if upload.brands else upload.used_at + timedelta(seconds=kept_s),
        brands=brands,
    )
