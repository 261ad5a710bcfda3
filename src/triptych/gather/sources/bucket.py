"""The source ``bucket``: the pictures below a prefix of S3, Google Cloud Storage or Azure.

Each object is an item with a URL such as ``s3://BUCKET/KEY``, which the workers of acquire read
with their own credentials.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

import msgspec
from typing_extensions import override

from triptych.errors import SourceRefused, SourceUnavailable
from triptych.gather.bucket import FAILURES, Listed, Trouble, failure, listed, open_bucket
from triptych.gather.file_names import (
    FILES_MAX,
    HIDDEN,
    after_the_last,
    is_hidden,
    left_out,
    named,
)
from triptych.gather.object_places import BRAND, BucketPlace, bucket_location, bucket_place
from triptych.gather.object_url import ObjectUrl
from triptych.gather.source import Page, Row, Source
from triptych.gather.source_cursor import read_cursor, write_cursor
from triptych.gather.source_reach import not_listed
from triptych.gather.source_type import SourceContext, SourceType

REMEDY = "Check the bucket and the folder after bucket:."
CREDENTIALS_REMEDY = (
    "Give the server and its workers credentials that may list the bucket and read its objects, "
    "where the store's own tools look for them."
)


T = TypeVar("T")


class _Progress(msgspec.Struct):
    """How far a bucket was read: its cursor."""

    after: str = ""
    """The key that was listed last."""
    objects: int = 0
    """Objects that were returned to be acquired."""


class BucketSource(Source):
    """Lists the objects of a folder in the order of their keys.

    A cursor is the key that was listed last, so a run that goes on after a crash lists no object
    again, also if some were added or removed meanwhile.
    """

    def __init__(self, place: str, context: SourceContext) -> None:
        self._place = place
        self._context = context

    @override
    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        progress = read_cursor(_Progress, cursor)
        place = self._reached(brand)
        store = await _asked(place, lambda: open_bucket(place.bucket))
        found = listed(store, place.prefix, progress.after)
        rows: list[Row] = []
        size = self._context.page_rows
        while (batch := await _asked(place, lambda: next(found, None))) is not None:
            for each in batch:
                if len(rows) == size:
                    yield Page(rows, write_cursor(progress))
                    rows = []
                row = _row(place, each, progress)
                rows.append(row)
                if progress.objects > FILES_MAX:
                    yield Page(rows, None)
                    return
        if not progress.objects:
            _refuse_none(place, rows)
        yield Page(rows, None)

    def _reached(self, brand: str) -> BucketPlace:
        """Return the place, with the brand's name in it: it was checked without when it was named.

        Raises:
            SourceRefused: it is not listed, or none.
        """
        try:
            place = bucket_place(self._place, brand)
        except ValueError as error:
            raise SourceRefused(str(error), remedy=REMEDY) from error
        if not self._context.reach.buckets.lists(place.place):
            refusal = not_listed(place.place)
            raise SourceRefused(refusal.message, remedy=refusal.remedy)
        return place


async def _asked(place: BucketPlace, call: Callable[[], T]) -> T:
    """Call what asks the store, in a thread.

    Raises:
        SourceRefused, SourceUnavailable: it does not list the folder.
    """
    try:
        return await asyncio.to_thread(call)
    except FAILURES as error:
        shown, found = f"{place.bucket}/{place.prefix}".rstrip("/"), failure(error)
        if found.trouble is Trouble.NO_KEY:
            raise SourceRefused(
                f"{shown} has an object whose key cannot be named ({found.detail}).",
                remedy="Rename it: a key has no two slashes in a row, no part that is . or .., and "
                "no control character. Or name a folder without it.",
            ) from error
        if found.trouble in {Trouble.SILENT, Trouble.BUSY, Trouble.BROKEN}:
            raise SourceUnavailable(
                f"{shown} cannot be listed ({found.detail}).", remedy=CREDENTIALS_REMEDY
            ) from error
        remedy = CREDENTIALS_REMEDY if found.trouble is Trouble.DENIED else REMEDY
        raise SourceRefused(f"{shown} cannot be listed ({found.detail}).", remedy=remedy) from error


def _row(place: BucketPlace, found: Listed, progress: _Progress) -> Row:
    progress.after = found.key
    below = found.key.removeprefix(f"{place.prefix}/") if place.prefix else found.key
    hidden = any(is_hidden(part) for part in below.split("/"))
    refused = HIDDEN if hidden else left_out(found.key.rpartition("/")[2], found.size)
    if refused:
        return Row("", {}, below, refused=refused)
    progress.objects += 1
    if progress.objects > FILES_MAX:
        return Row("", {}, below, refused=after_the_last(FILES_MAX))
    scheme, _, bucket = place.bucket.partition("://")
    metadata = {
        **named(below),
        "size_bytes": found.size,
        "modified": found.modified.isoformat(timespec="seconds"),
        "etag": found.etag,
    }
    return Row(str(ObjectUrl(scheme, bucket, found.key)), metadata, below)


def _refuse_none(place: BucketPlace, rows: Sequence[Row]) -> None:
    shown = f"{place.bucket}/{place.prefix}".rstrip("/")
    first = f" The last of what is left out: {rows[-1].place}: {rows[-1].refused}" if rows else ""
    raise SourceRefused(f"There is no object to acquire in {shown}.{first}", remedy=REMEDY)


def _check(place: str) -> None:
    bucket_place(place, "brand")


def _location(place: str) -> str:
    return bucket_location(place.replace(BRAND, "brand"))


BUCKET = SourceType(
    scheme="bucket",
    title="A bucket of pictures",
    description="The pictures below a folder of S3, Google Cloud Storage or Azure Blob Storage.",
    place="s3://BUCKET/FOLDER",
    example="s3://pictures/2026",
    open=BucketSource,
    check=_check,
    location=_location,
)
