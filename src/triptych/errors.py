"""Every error Triptych raises on purpose.

::

    TriptychError
    ├── BadInput                 the caller's value is wrong; names field and remedy   422
    │   ├── SettingsError        a TRIPTYCH_* value is wrong or missing
    │   ├── InvalidBrand         a brand's name cannot be used
    │   ├── InvalidMessage       a queue message's body is not one of the three
    │   ├── InvalidUrl           not an absolute http(s) URL
    │   ├── InvalidSchedule      not a cron expression
    │   ├── InvalidCursor        a page's cursor is not one of this listing's
    │   └── IdempotencyKeyReused the key was used for another request
    ├── Refused                  the caller is not allowed to                          403
    │   ├── Unauthenticated      no valid key or token                                 401
    │   ├── Forbidden            the identity's scope does not cover it
    │   ├── OriginRefused        a page of another site sent the request
    │   └── HostRefused          the Host header names another site                    421
    ├── TooManyRequests          the key's rate is used up; carries `retry_after_s`    429
    ├── BodyTooLarge             more bytes than are accepted                          413
    ├── NotFound                                                                       404
    │   ├── BrandNotFound
    │   ├── RunNotFound
    │   ├── ExportFileNotFound
    │   ├── SnapshotCollected    it existed, and is no longer kept                      410
    │   ├── AssetNotFound
    │   ├── ObjectMissing        an object is not in the store, or not all of it
    │   │   └── ObjectDamaged    its bytes are not those that were stored
    │   ├── TaskNotFound
    │   ├── KeyNotFound
    │   └── NoThumbnail
    │       └── ThumbnailFailed  of a picture that cannot be decoded
    ├── Conflict                 right request, wrong moment                           409
    │   ├── RunActive            the brand already has an active run
    │   ├── RunEnded             the run is no longer active
    │   ├── KeyExists            the name of an API key is taken
    │   ├── RequestInProgress    the first request with this idempotency key is running
    │   ├── NotSearchable        there is no embedding of the right model to compare
    │   └── DataFolderInUse      another process owns the data folder
    ├── Unavailable              a component does not answer; a retry may help         503
    │   ├── DatabaseUnavailable
    │   │   ├── DatabaseFull     its disk is full
    │   │   ├── RowLocked        another transaction holds a row for long: a large commit
    │   │   └── SchemaBehind     a migration that is needed for this was not applied yet
    │   ├── QueueUnavailable
    │   ├── ReadsUnavailable     MongoDB does not answer; immediate reads ask Postgres then
    │   ├── StoreUnavailable
    │   │   └── StoreFull        its disk is full
    │   ├── SourceUnavailable
    │   ├── ThumbnailsBusy       too many are being made
    │   ├── SearchUnavailable    too many searches at once, or one takes too long
    │   ├── ServerUnavailable    the server of a client does not answer
    │   └── LiveUnavailable      a live status server refuses, or has not answered for long
    ├── ServerRefused            the server of a client refuses for an unknown reason
    ├── TaskFailed               a submitted task has failed
    ├── SourceRefused            the source will never answer this brand               422
    ├── SummaryFailed            a language model gave no summary                       502
    ├── ModelError               an embedding model cannot be loaded or used           500
    ├── PostgresServerError      the embedded Postgres cannot be created or started    500
    ├── Postponed                an item has to wait, without an attempt; carries `retry_after_s`
    │   ├── HostBusy             its host is at its request limit
    │   ├── HostDown             its host does not answer
    │   └── NotDue               it waits for a time that has not come yet
    └── ItemError                one URL's work failed; carries its `Reason`
        ├── PermanentItemError   a retry would give the same result
        │   └── DecoderLost      its picture has cost a decoder
        └── TransientItemError   a retry may help; may carry `retry_after_s`

An error that only one concern raises, and that clients need not know, is next to its store.

The first line of a class's docstring is its default message, and ``status`` its HTTP status.
"""

from __future__ import annotations

import re
from typing import ClassVar
from uuid import UUID

from triptych.model import Reason
from triptych.shown_url import shown_text

_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")


class TriptychError(Exception):
    """Triptych failed.

    Errors are logged, kept and answered: URLs in one are without userinfo and query.
    """

    status: ClassVar[int] = 500

    def __init__(self, message: str | None = None, *, remedy: str | None = None) -> None:
        text = message or (type(self).__doc__ or "Triptych failed.").splitlines()[0]
        text = shown_text(text)
        super().__init__(text)
        self.message = text
        self.remedy = None if remedy is None else shown_text(remedy)

    @classmethod
    def problem(cls) -> str:
        """Return the class's name in the form of problem details: ``brand-not-found``."""
        return "-".join(_WORDS.split(cls.__name__)).lower()

    def __str__(self) -> str:
        """One line: what is wrong and, where known, what to do about it."""
        return f"{self.message} {self.remedy}" if self.remedy else self.message


class BadInput(TriptychError):
    """A value is not valid."""

    status = 422

    def __init__(
        self, message: str | None = None, *, field: str, remedy: str | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.field = field

    def __str__(self) -> str:
        """One line that begins with the field's name."""
        return f"{self.field}: {super().__str__()}"


class SettingsError(BadInput):
    """A setting is not valid."""


class InvalidBrand(BadInput):
    """The brand's name cannot be used."""


class InvalidMessage(BadInput):
    """The message's body is not one that this queue accepts."""


class InvalidUrl(BadInput):
    """Not an absolute http or https URL."""


class InvalidSchedule(BadInput):
    """Not a cron expression that is ever due."""


class InvalidCursor(BadInput):
    """Not a cursor of this listing."""


class IdempotencyKeyReused(BadInput):
    """This idempotency key was used for another request."""


class Refused(TriptychError):
    """This request is not allowed."""

    status = 403


class Unauthenticated(Refused):
    """A valid API key or token is needed."""

    status = 401


class Forbidden(Refused):
    """This key may not do that."""


class OriginRefused(Refused):
    """Pages of other sites may not use this server."""


class HostRefused(Refused):
    """This server does not answer under that host name."""

    status = 421


class TooManyRequests(TriptychError):
    """Too many requests."""

    status = 429

    def __init__(
        self, message: str | None = None, *, remedy: str | None = None, retry_after_s: float
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s


class BodyTooLarge(TriptychError):
    """The body is too large."""

    status = 413


class NotFound(TriptychError):
    """Nothing has that name."""

    status = 404


class BrandNotFound(NotFound):
    """There is no such brand."""


class RunNotFound(NotFound):
    """There is no such run."""


class ExportFileNotFound(NotFound):
    """An export has no such file."""


class SnapshotCollected(NotFound):
    """The snapshot is no longer kept."""

    status = 410


class NoThumbnail(NotFound):
    """There is no thumbnail of this object."""


class ThumbnailFailed(NoThumbnail):
    """The picture cannot be decoded."""


class AssetNotFound(NotFound):
    """There is no such asset."""


class ObjectMissing(NotFound):
    """The object store does not have these bytes."""


class ObjectDamaged(ObjectMissing):
    """The object store has other bytes than were stored."""


class TaskNotFound(NotFound):
    """There is no such task."""


class KeyNotFound(NotFound):
    """There is no such API key."""


class Conflict(TriptychError):
    """The request does not fit the current state."""

    status = 409


class RunActive(Conflict):
    """The brand already has an active run."""

    def __init__(
        self,
        message: str | None = None,
        *,
        remedy: str | None = None,
        run_id: UUID | None = None,
        source: str | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.run_id = run_id
        """The active run."""
        self.source = source
        """Its source, if that is why, as it is shown."""


class RunEnded(Conflict):
    """The run is no longer active."""


class KeyExists(Conflict):
    """There is, or was, an API key of that name."""


class RequestInProgress(Conflict):
    """The first request with this idempotency key is still running."""


class NotSearchable(Conflict):
    """There is no embedding to compare."""


class DataFolderInUse(Conflict):
    """Another process is using this data folder."""


class Unavailable(TriptychError):
    """A component does not answer."""

    status = 503


class DatabaseUnavailable(Unavailable):
    """The database does not answer."""


class DatabaseFull(DatabaseUnavailable):
    """The database's disk is full."""


class RowLocked(DatabaseUnavailable):
    """Another process is changing the same run or brand, or commits it."""

    def __init__(self) -> None:
        super().__init__(remedy="Try again in a moment.")


class SchemaBehind(DatabaseUnavailable):
    """The database lacks a table or a column: a migration was not applied yet."""


class ReadsUnavailable(Unavailable):
    """MongoDB does not answer."""


class QueueUnavailable(Unavailable):
    """The queue does not answer."""


class StoreUnavailable(Unavailable):
    """The object store does not answer."""


class StoreFull(StoreUnavailable):
    """The object store's disk is full."""


class SourceUnavailable(Unavailable):
    """The source of URLs does not answer."""

    def __init__(
        self,
        message: str | None = None,
        *,
        remedy: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s


class ThumbnailsBusy(Unavailable):
    """Too many thumbnails are being made."""


class SearchUnavailable(Unavailable):
    """The search cannot be done at the moment."""


class LiveUnavailable(Unavailable):
    """The live status server does not answer."""


class ServerUnavailable(Unavailable):
    """The Triptych server does not answer."""


class ServerRefused(TriptychError):
    """The Triptych server refuses."""


class TaskFailed(TriptychError):
    """The submitted task has failed."""


class SourceRefused(TriptychError):
    """The source of URLs will not serve this brand."""

    status = 422

    def __init__(
        self, message: str | None = None, *, remedy: str | None = None, quoted: str = ""
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.quoted = quoted
        """A sentence that quotes the list, and is not in the message: whoever passes the error on
        to somebody who may not have read the list leaves it out."""

    def __str__(self) -> str:
        """One line: what is wrong, what is quoted, and what to do about it."""
        return " ".join(filter(None, [self.message, self.quoted, self.remedy]))


class SummaryFailed(TriptychError):
    """There is no summary."""

    status = 502


class ModelError(TriptychError):
    """The embedding model cannot be used."""


class PostgresServerError(TriptychError):
    """The embedded Postgres cannot be started."""


class Postponed(TriptychError):
    """An item has to wait."""

    def __init__(self, message: str | None = None, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class HostBusy(Postponed):
    """An item has to wait for its host."""


class HostDown(Postponed):
    """A host does not answer."""

    def __init__(self, host: str, why: str, *, retry_after_s: float, tried: bool) -> None:
        super().__init__(f"{host} does not answer ({why})", retry_after_s=retry_after_s)
        self.host = host
        """Scheme, name and port; ``proxy`` before those of a proxy."""
        self.why = shown_text(why)
        self.tried = tried
        """Whether a request was sent now, or was not because the last one failed."""


class NotDue(Postponed):
    """An item waits for a time that has not come yet."""


class ItemError(TriptychError):
    """An item failed."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = shown_text(detail)


class PermanentItemError(ItemError):
    """An item failed permanently."""


class DecoderLost(PermanentItemError):
    """A picture has cost its decoder: it died, or was ended at a deadline."""


class TransientItemError(ItemError):
    """An item failed; a retry may help."""

    def __init__(
        self, reason: Reason, detail: str = "", *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason, detail)
        self.retry_after_s = retry_after_s
