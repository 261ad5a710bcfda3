"""Reading one object or file: guarded, bounded in time and bytes; every failure has a reason.

What `triptych.fetch.fetcher` is for the web. A bucket has its pace, its concurrency and its outages
as a host has them; robots.txt and opt-outs are the web's.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import TypeVar

from obstore.store import ObjectStore

from triptych.acquire.object_body import Changed, FileBody, OpenBody, Reading, StoreBody
from triptych.errors import HostBusy, PermanentItemError, SourceRefused, TransientItemError
from triptych.fetch.body_budget import BodyBudget
from triptych.fetch.down_hosts import DownHosts, HostRequest
from triptych.fetch.fetcher import Fetched, Validators
from triptych.fetch.host_throttle import WAIT_MAX_S, HostSlot, HostThrottle
from triptych.gather.bucket import FAILURES, READ_RETRIES, Trouble, failure, open_bucket
from triptych.gather.object_reach import NotReachable, ObjectReach
from triptych.gather.object_url import ObjectUrl, parse_object_url
from triptych.gather.source_folders import SourceFolders
from triptych.model import Reason

BUCKETS_MAX = 64
"""Buckets whose connections are kept."""
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""Errors of a path that leads to no file."""
AWAY = frozenset(
    {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.ENODEV}
)
"""Errors of a file system that does not answer, such as a network share's."""

T = TypeVar("T")


class ObjectReader:
    """Reads objects and files for items. Safe to share between tasks of one event loop.

    ``deadline_s`` covers everything: opening, reading, and waiting for a share of ``budget``, whose
    cap is the largest body. ``threads`` wait for files and stores; one that a deadline has left
    behind ends with its request, by the timeouts of the store's client (30 s) or of the file
    system.
    """

    def __init__(
        self,
        reach: ObjectReach,
        budget: BodyBudget,
        hosts: HostThrottle,
        down_hosts: DownHosts,
        threads: Executor,
        *,
        deadline_s: float,
    ) -> None:
        self._reach = reach
        self._budget = budget
        self._hosts = hosts
        self._down_hosts = down_hosts
        self._threads = threads
        self._deadline_s = deadline_s
        self._buckets: OrderedDict[str, ObjectStore] = OrderedDict()

    async def slot(self, url: str, *, crowded: Callable[[], bool] = lambda: False) -> HostSlot:
        """Wait for a slot at the bucket of ``url``: see `Fetcher.slot`.

        Raises:
            HostBusy: the wait would be long.
            HostDown: the store does not answer, or did not a moment ago.
            PermanentItemError: it is not the URL of an object or a file.
        """
        host = _parsed(url).host
        self._down_hosts.check([host])
        try:
            async with asyncio.timeout(WAIT_MAX_S):
                contact = await self._down_hosts.contact([host])
        except TimeoutError as error:
            raise HostBusy(f"{host} has not answered yet", retry_after_s=WAIT_MAX_S) from error
        try:
            slot = await self._hosts.slot(host, crowded=crowded)
        except BaseException:
            contact.end()
            raise
        slot.contact = contact
        return slot

    async def fetch(
        self, url: str, known: Validators | None = None, *, brand: str, source: str | None
    ) -> Fetched | None:
        """Read an object or a file; None if it still matches ``known``.

        Args:
            url: of the object.
            known: the validators of the stored body.
            brand: whose item it is.
            source: that of the item's run: it may be what allows to read the object.

        Raises:
            PermanentItemError: a retry would give the same result.
            TransientItemError: a retry may help.
            HostDown: the store does not answer.
        """
        place = _parsed(url)
        try:
            opening = await self._opening(place, known, brand=brand, source=source)
        except NotReachable as error:
            raise PermanentItemError(Reason.ADDRESS_REFUSED, str(error)) from error
        request, opened = self._down_hosts.request([place.host]), False
        try:
            async with asyncio.timeout(self._deadline_s):
                body = await self._in_thread(opening, OpenBody.close)
                opened = True
                try:
                    request.answered()
                    self._hosts.answered(place.host)
                    return await self._read(url, body, known)
                finally:
                    # In a thread: of a share that hangs, closing a file may hang, too.
                    self._threads.submit(body.close)
        except TimeoutError as error:
            why = f"not done within {self._deadline_s:g} s"
            raise self._silent(request, why, Reason.TIMEOUT) from error
        except SourceRefused as error:
            raise PermanentItemError(Reason.ADDRESS_REFUSED, error.message) from error
        except Changed as error:
            detail = "it was changed while it was read"
            raise TransientItemError(Reason.TRUNCATED, detail) from error
        except FAILURES as error:
            if (raised := self._failure(error, place, request, opened)) is None:
                return None
            raise raised from error

    async def _opening(
        self, place: ObjectUrl, known: Validators | None, *, brand: str, source: str | None
    ) -> Callable[[], OpenBody]:
        """Return what opens it, once it is known that it may be read.

        Raises:
            NotReachable: it may not.
        """
        if place.is_file:
            folders = await self._reach.folders_for(place, brand=brand, source=source)
            return partial(_open_file, folders, place.key)
        await self._reach.check_object(place, brand=brand, source=source)
        return partial(self._open_object, place, known)

    def _open_object(self, place: ObjectUrl, known: Validators | None) -> OpenBody:
        bucket = f"{place.scheme}://{place.bucket}"
        store = self._buckets.get(bucket)
        if store is None:
            store = open_bucket(bucket, retries=READ_RETRIES)
            self._buckets[bucket] = store
            while len(self._buckets) > BUCKETS_MAX:
                self._buckets.popitem(last=False)
        return StoreBody(store, place.key, known)

    async def _read(self, url: str, body: OpenBody, known: Validators | None) -> Fetched | None:
        about, cap = body.about, self._budget.cap
        if known is not None and known.etag is not None and known.etag == about.etag:
            return None
        if about.size > cap:
            raise _too_large(about.size, cap)
        share = self._budget.share()
        try:
            await share.declare(about.size)
            reading = Reading(body)
            try:
                read = await self._in_thread(partial(reading.read, about.size))
            finally:
                reading.stopped.set()
            if len(read) != about.size:
                detail = f"{len(read)} bytes came of {about.size}"
                raise TransientItemError(Reason.TRUNCATED, detail)
            if not read:
                raise PermanentItemError(Reason.NOT_AN_IMAGE, "it is empty")
        except BaseException:
            share.release()
            raise
        return Fetched(
            body=bytes(read),
            media_type=about.media_type,
            etag=about.etag,
            last_modified=about.last_modified,
            final_url=url,
            share=share,
        )

    async def _in_thread(self, call: Callable[[], T], undo: Callable[[T], None] | None = None) -> T:
        """Call in a thread; what it returns to nobody, because of a deadline, is undone."""
        future: Future[T] = self._threads.submit(call)
        try:
            return await asyncio.wrap_future(future)
        except BaseException:
            if undo is not None:
                future.add_done_callback(partial(_undone, undo))
            raise

    def _failure(
        self, error: Exception, place: ObjectUrl, request: HostRequest, opened: bool
    ) -> Exception | None:
        """Return the reason of a failure, or the outage that it shows; None if nothing changed."""
        if place.is_file:
            return self._file_failure(error, request)
        found = failure(error)
        if found.trouble is Trouble.SILENT and opened:
            return TransientItemError(Reason.TRUNCATED, found.detail)
        if found.trouble is Trouble.SILENT:
            return self._silent(request, found.detail, Reason.CONNECTION_FAILED)
        request.answered()
        if found.trouble is Trouble.UNCHANGED:
            self._hosts.answered(place.host)
            return None
        if found.trouble is Trouble.BUSY:
            self._hosts.throttled(place.host, None)
            return TransientItemError(Reason.THROTTLED, found.detail)
        self._hosts.answered(place.host)
        if found.trouble is Trouble.BROKEN:
            return TransientItemError(Reason.SERVER_ERROR, found.detail)
        return PermanentItemError(_PERMANENT[found.trouble], found.detail)

    def _file_failure(self, error: Exception, request: HostRequest) -> Exception:
        if isinstance(error, OSError) and error.errno in AWAY:
            return self._silent(request, _text(error), Reason.CONNECTION_FAILED)
        request.answered()
        if isinstance(error, OSError) and error.errno in ABSENT:
            return PermanentItemError(Reason.NOT_FOUND, "there is no such file")
        if isinstance(error, PermissionError):
            return PermanentItemError(Reason.FORBIDDEN, "the worker's user may not read the file")
        return TransientItemError(Reason.CONNECTION_FAILED, _text(error))

    def _silent(self, request: HostRequest, why: str, reason: Reason) -> Exception:
        return request.failed(why, sent=reason is Reason.TIMEOUT) or TransientItemError(reason, why)


_PERMANENT = {
    Trouble.MISSING: Reason.NOT_FOUND,
    Trouble.DENIED: Reason.FORBIDDEN,
    Trouble.NO_KEY: Reason.INVALID_URL,
    Trouble.REFUSED: Reason.HTTP_ERROR,
}


def _open_file(folders: SourceFolders, path: str) -> OpenBody:
    found = folders.open_one(path)
    if stat.S_ISREG(os.fstat(found).st_mode):
        return FileBody(found)
    os.close(found)
    raise PermanentItemError(Reason.NOT_AN_IMAGE, "it is a folder")


def _undone(undo: Callable[[T], None], future: Future[T]) -> None:
    if not future.cancelled() and future.exception() is None:
        undo(future.result())


def _parsed(url: str) -> ObjectUrl:
    try:
        return parse_object_url(url)
    except ValueError as error:
        raise PermanentItemError(Reason.INVALID_URL, str(error)) from error


def _too_large(size: int, cap: int) -> PermanentItemError:
    return PermanentItemError(Reason.TOO_LARGE, f"{size} bytes; {cap} bytes are allowed")


def _text(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
