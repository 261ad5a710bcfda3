"""The pictures that a run has acquired, while it is under way: a list of the newest, thumbnails."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from msgspec import Meta
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from triptych.api.content import BYTES, Width, thumbnail
from triptych.api.http.dependencies import ApiContext, ApiStores, of_request
from triptych.api.http.operations import ResourceRouter
from triptych.api.http.problems import documented
from triptych.api.http.request_models import Asked
from triptych.api.http.responses import Json
from triptych.errors import (
    AssetNotFound,
    ObjectDamaged,
    ObjectMissing,
    RunNotFound,
    StoreUnavailable,
)
from triptych.model import KEY_BYTES
from triptych.runs.picture_store import AcquiredPicture, PictureStore
from triptych.shown_url import without_credentials
from triptych.wire import Wire

PICTURES_DEFAULT = 24
PICTURES_MAX = 100

router = ResourceRouter("runs")


class PictureStores(ApiStores, Protocol):
    """The API's stores and the store of acquired pictures."""

    pictures: PictureStore


Context = Annotated[ApiContext[PictureStores], Depends(of_request)]
ItemKey = Annotated[
    str,
    Path(
        pattern=f"^[0-9a-f]{{{2 * KEY_BYTES}}}$",
        description="The key of the picture's item, in hexadecimal digits.",
    ),
]


class PictureShown(Wire, frozen=True):
    """A picture that a run has acquired and not committed yet."""

    key: Annotated[str, Meta(description="Of its item, in hexadecimal digits.")]
    url: str
    media_type: str
    width: Annotated[int | None, Meta(description="In pixels; null where it is not known.")]
    height: Annotated[int | None, Meta(description="In pixels; null where it is not known.")]
    acquired_at: datetime

    @classmethod
    def of(cls, picture: AcquiredPicture) -> PictureShown:
        """Return a picture; its URL is shown without a password."""
        return cls(
            picture.key.hex(),
            without_credentials(picture.url),
            picture.media_type,
            picture.width,
            picture.height,
            picture.acquired_at,
        )


class Pictures(Wire, frozen=True):
    """The newest pictures of a run, newest first."""

    items: list[PictureShown]


RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def written_out(text: str) -> str:
    """Return a time that is written as in RFC 3339.

    Raises:
        ValueError: it is not; pydantic would also take a number of seconds.
    """
    if not RFC_3339.fullmatch(text):
        raise ValueError("Write the time as `2026-11-30T10:00:00Z`.")
    return text


def in_utc(at: datetime) -> datetime:
    """Return a time in UTC.

    Raises:
        ValueError: it is none of the years 1 to 9999 there.
    """
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("The time is outside the years 1 to 9999 in UTC.") from None


class PicturesAsked(Asked):
    """Which pictures of a run."""

    after: Annotated[
        Annotated[AwareDatetime, BeforeValidator(written_out), AfterValidator(in_utc)] | None,
        Field(description="Only pictures that were acquired after this time."),
    ] = None
    limit: Annotated[int, Field(ge=1, le=PICTURES_MAX)] = PICTURES_DEFAULT


class PictureThumbnailAsked(Asked):
    """The width of a thumbnail, in pixels."""

    w: Width = "320"


@router.get(
    "/runs/{run}/pictures",
    response_model=Pictures,
    summary="List the newest pictures of a run",
    responses=documented(RunNotFound),
)
async def list_pictures(
    context: Context, run: UUID, asked: Annotated[PicturesAsked, Query()]
) -> Json:
    """The pictures that a run acquired last, newest first, until it commits or is cancelled.

    They are looked for among the items that were dispatched last: one that was dispatched long
    before may be missing. Once the run has committed, its brand's assets are the list of all.
    """
    await context.stores.runs.run(run)
    found = await context.stores.pictures.newest(run, after=asked.after, limit=asked.limit)
    return Json(Pictures([PictureShown.of(picture) for picture in found]))


THUMBNAIL_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "A WebP image.", "content": {"image/webp": BYTES}},
    304: {"description": "Not changed: If-None-Match names the current ETag."},
    307: {
        "description": "Its URL at the object store, signed for five minutes, where "
        "TRIPTYCH_DIRECT_THUMBNAILS is set."
    },
    **documented(RunNotFound, AssetNotFound, ObjectMissing, ObjectDamaged, StoreUnavailable),
}


@router.get(
    "/runs/{run}/pictures/{key}/thumbnail",
    response_class=Response,
    summary="Get a thumbnail of a picture of a run",
    responses=THUMBNAIL_ANSWERS,
)
async def get_picture_thumbnail(
    request: Request,
    context: Context,
    run: UUID,
    key: ItemKey,
    asked: Annotated[PictureThumbnailAsked, Query()],
) -> Response:
    """A thumbnail at most `w` pixels wide, before the run's commit and after it."""
    await context.stores.runs.run(run)
    sha256 = await context.stores.pictures.content(run, bytes.fromhex(key))
    if sha256 is None:
        raise AssetNotFound(
            "The run has acquired no picture with this key.",
            remedy="List the run's newest pictures; a run that was cancelled keeps none.",
        )
    return await thumbnail(request, context, sha256, int(asked.w))
