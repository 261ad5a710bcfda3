"""A bucket of S3, of Google Cloud Storage, or a container of Azure: listing it, and its failures.

Its credentials are those that the store's own tools would use: of the environment, a file, or the
machine. None of them is in a URL, and no error quotes what a store has answered but its code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    NotFoundError,
    NotModifiedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore, from_url

from triptych.shown_url import shown_text

if TYPE_CHECKING:
    from obstore.store import RetryConfig

LIST_RETRIES: RetryConfig = {"max_retries": 5, "retry_timeout": timedelta(seconds=30)}
READ_RETRIES: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=30)}
"""None: an item that fails is tried again by its queue, after a pause, and counted."""
DETAIL_MAX_CHARS = 300
LISTED_AT_ONCE = 1000

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_TIMINGS = re.compile(r" in [\d.]+(?:ns|µs|ms|s)\b")
_CREDENTIALS = re.compile(
    r"performing \w+ https?://(?:169\.254\.|\[fd|metadata\.|login\.|sts\.|oauth2?\.|accounts\.)"
)
"""Requests to what gives out credentials, not to the store."""
_PASSING = frozenset(
    {"ExpiredToken", "InternalError", "OperationAborted", "RequestTimeout", "RequestTimeTooSkewed"}
)
"""S3's codes of what a retry may help although its status is 4xx."""
BUSY = frozenset({429, 503})
DENIALS = frozenset({401, 403})


class Trouble(Enum):
    """What a failed request says."""

    MISSING = "missing"
    """There is no such object, or no such bucket."""
    DENIED = "denied"
    UNCHANGED = "unchanged"
    """It still matches the validator that was sent."""
    NO_KEY = "no key"
    """A key that the client cannot name."""
    BUSY = "busy"
    """The store asks for fewer requests."""
    BROKEN = "broken"
    """The store has failed, or something passing: a retry may help."""
    REFUSED = "refused"
    """Any other 4xx."""
    SILENT = "silent"
    """There was no answer, or no credential to ask with."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request to a store has failed."""

    trouble: Trouble
    detail: str
    """A phrase in which no credential is."""


FAILURES = (BaseError, OSError, ValueError)
"""What obstore's calls raise."""


def failure(error: Exception) -> Failure:
    """Return what one of `FAILURES` says."""
    text = str(error)
    if _CREDENTIALS.search(text.partition("\n")[0]):
        return Failure(Trouble.SILENT, f"no credentials: {_first_line(text)}")
    status, code = _STATUS.search(text), _CODE.search(text)
    number = int(status[1]) if status else 0
    detail = f"HTTP {number}" + (f" {code[1]}" if code else "") if status else _first_line(text)
    if isinstance(error, NotModifiedError):
        return Failure(Trouble.UNCHANGED, detail)
    if isinstance(error, NotFoundError | FileNotFoundError):
        return Failure(Trouble.MISSING, detail)
    if isinstance(error, InvalidPathError):
        return Failure(Trouble.NO_KEY, detail)
    if number in BUSY or (code and code[1] == "SlowDown"):
        return Failure(Trouble.BUSY, detail)
    if number >= 500 or (code and code[1] in _PASSING):
        return Failure(Trouble.BROKEN, detail)
    if number in DENIALS or isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return Failure(Trouble.DENIED, detail)
    if not status:
        return Failure(Trouble.SILENT, detail)
    return Failure(Trouble.REFUSED, detail)


def open_bucket(bucket: str, *, retries: RetryConfig = LIST_RETRIES) -> ObjectStore:
    """Return the store of ``s3://BUCKET``, ``gs://…`` or ``az://…``. Sends no request.

    Raises:
        one of `FAILURES`: the environment does not say what is needed, such as Azure's account.
    """
    return from_url(bucket, retry_config=retries)


@dataclass(frozen=True, slots=True)
class Listed:
    """An object, as a listing has it."""

    key: str
    size: int
    modified: datetime
    etag: str | None


def listed(store: ObjectStore, prefix: str, after: str) -> Iterator[Sequence[Listed]]:
    """Yield the objects in a folder and below, in the order of their keys, some at a time. Blocks.

    Args:
        store: the bucket.
        prefix: the folder's key; empty for the whole bucket.
        after: only keys after this one; empty for all of them.

    Raises:
        one of `FAILURES`: see `failure`.
    """
    pages = obstore.list(store, prefix or None, offset=after or None, chunk_size=LISTED_AT_ONCE)
    for page in pages:
        # Azure's listing begins with the key itself.
        yield [
            Listed(each["path"], each["size"], each["last_modified"], each["e_tag"])
            for each in page
            if each["path"] > after
        ]


def _first_line(text: str) -> str:
    line = _TIMINGS.sub("", text.partition("\n")[0].partition("<")[0])
    return shown_text(line)[:DETAIL_MAX_CHARS] or "it does not say why"
