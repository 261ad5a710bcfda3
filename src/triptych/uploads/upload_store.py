"""The port UploadStore: the files that were uploaded, and what uses them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from triptych.errors import Conflict, NotFound
from triptych.model import Age, Slice

SCHEME = "upload"
"""What their sources start with, before the colon; the id follows."""
UPLOADS_MAX = 1_000
"""Uploads that are kept at a time."""
USERS_SHOWN = 10
"""Brands of an upload that are named."""

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""An id as it is written in a source: in one way only, so that sources can be compared."""


@dataclass(frozen=True, slots=True)
class NewUpload:
    """A file that has been stored."""

    id: UUID
    object_key: str
    name: str
    """The file's, for people; clean and bounded."""
    size_bytes: int
    sha256: bytes
    uploaded_by: str
    """An identity's name (`triptych.access.identity.Identity.name`)."""


@dataclass(frozen=True, slots=True)
class Upload(NewUpload):
    """An upload, and what uses it."""

    created_at: datetime
    used_at: datetime
    """When it was last opened as a source."""
    brands: Sequence[str] = ()
    """Brands that have it as their source, at most `USERS_SHOWN`, by name."""


@dataclass(frozen=True, slots=True)
class Removed:
    """An upload that is gone."""

    object_key: str
    deletable: bool
    """Whether its object may be deleted now; else the collector does it later, because a backup is
    copying objects."""


class UploadNotFound(NotFound):
    """There is no such upload."""


def upload_not_found(upload: UUID) -> UploadNotFound:
    """Return the error for an upload that does not exist, or no longer."""
    return UploadNotFound(
        f"There is no upload {upload}: it was deleted, or was not used for too long.",
        remedy="Upload the file again: POST /api/v1/uploads?name=FILE.",
    )


def upload_in_use(brand: str, *, active: bool) -> Conflict:
    """Return the error for deleting an upload that a brand uses; ``active``: only its run does."""
    if active:
        return Conflict(
            f"An active run of brand {brand!r} reads it.", remedy="Wait for its end, or cancel it."
        )
    return Conflict(
        f"It is the source of brand {brand!r}.",
        remedy="Start a run of the brand with another source first, or delete the brand.",
    )


def too_many() -> Conflict:
    """Return the error for an upload beyond `UPLOADS_MAX`."""
    return Conflict(
        f"There are {UPLOADS_MAX} uploads already.",
        remedy="Delete some first: GET /api/v1/uploads lists them.",
    )


def source_of(upload: UUID) -> str:
    """Return an upload as a source."""
    return f"{SCHEME}:{upload}"


def upload_of(source: str) -> UUID | None:
    """Return the upload that a source names, whatever its options; None if it names none."""
    scheme, _, place = source.partition(":")
    found = ID.fullmatch(place.partition("#")[0])
    return UUID(found[0]) if scheme == SCHEME and found else None


class UploadStore(Protocol):
    """The rows of uploads; each method is one transaction. Objects are written before their rows.

    A brand uses an upload while that is its source, with whatever options, and while an active run
    of the brand has it as its source.
    """

    async def put_upload(self, upload: NewUpload) -> Upload:
        """Keep a new upload. One whose id is known stays as it is, and is returned.

        Raises:
            Conflict: there are `UPLOADS_MAX` already.
        """
        ...

    async def upload(self, upload_id: UUID) -> Upload:
        """Return an upload.

        Raises:
            UploadNotFound: there is none of that id.
        """
        ...

    async def uploads(
        self, *, uploaded_by: str | None, before: Age | None, limit: int
    ) -> Slice[Upload, Age]:
        """Return uploads, newest first; with ``uploaded_by``, only that identity's."""
        ...

    async def use_upload(self, upload_id: UUID) -> Upload:
        """Note that an upload is used now, which keeps it for a while; return it.

        Raises:
            UploadNotFound: there is none of that id.
        """
        ...

    async def remove_upload(self, upload_id: UUID) -> Removed:
        """Remove an upload's row.

        Raises:
            UploadNotFound: there is none of that id.
            Conflict: a brand uses it; names the brand.
        """
        ...

    async def remove_unused(self, *, unused_s: float, limit: int) -> Sequence[str]:
        """Remove uploads that no brand uses, and that were not used for so many seconds.

        Returns:
            The keys of their objects, which may be deleted now. There are none while a backup
            copies objects.
        """
        ...

    async def unnamed_objects(self, keys: Collection[str]) -> Sequence[str]:
        """Return which of these objects no upload has; none while a backup copies objects."""
        ...
