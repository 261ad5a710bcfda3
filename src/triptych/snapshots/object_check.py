"""Checking every stored object against every row: what is missing, damaged, or no row's.

Objects are looked at folder by folder, 00 to ff by the first two digits of their hash: the store's
list of a folder and the rows of its keys are merged. Memory is that of the list of one folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from triptych.errors import StoreUnavailable
from triptych.media.contents import older_key
from triptych.media.thumbnails import original_of, unsealed
from triptych.objects import Listed, ObjectStore, content_hash, object_key
from triptych.shown_url import without_credentials
from triptych.snapshots.damage_store import DamageStore
from triptych.snapshots.stored_rows import RowPages, StoredRow
from triptych.wire import Wire

FOLDERS = 256
OBJECTS_AT_ONCE = 200
"""Objects whose rows are read together, and that are looked at before the next ones."""
YOUNG = timedelta(hours=1)
"""An object that was written later before the check may belong to an item that has not settled."""
BRANDS_SHOWN = 5

Row = StoredRow
T = TypeVar("T")


class Problem(StrEnum):
    """What is wrong with an object."""

    MISSING = "missing"
    WRONG_SIZE = "wrong_size"
    WRONG_HASH = "wrong_hash"
    UNREADABLE = "unreadable"
    """The store works, but does not give this one: a bad block of a disk."""
    UNREFERRED = "unreferred"
    """No row names it, or it is a thumbnail of no object. Not damage: a worker that was killed
    leaves some."""
    THUMBNAIL_DAMAGED = "thumbnail_damaged"


NOTED = frozenset({Problem.WRONG_HASH, Problem.UNREADABLE})


class Finding(Wire, frozen=True):
    """An object with which something is wrong."""

    problem: Problem
    object: Annotated[str, Meta(description="Its key.")]
    size_bytes: Annotated[int | None, Meta(description="As it is stored; null if it is not.")]
    brands: Annotated[list[str], Meta(description="Brands with an asset of it, at most 5.")]
    url: Annotated[str | None, Meta(description="Of one of them, without credentials.")]
    repaired: Annotated[bool, Meta(description="Whether it is whole again.")] = False
    outcome: Annotated[str, Meta(description="What came of the repair; empty without one.")] = ""


class Tally(msgspec.Struct):
    """What a check has counted so far."""

    objects: int = 0
    """Objects that rows name, and that were looked at."""
    bytes_read: int = 0
    missing: int = 0
    wrong_size: int = 0
    wrong_hash: int = 0
    unreadable: int = 0
    unreferred: int = 0
    unreferred_bytes: int = 0
    waiting: int = 0
    """Objects that the collector is going to delete."""
    young: int = 0
    """Objects that no row names yet, written within the last hour: not judged."""
    thumbnails: int = 0
    thumbnails_of_older_versions: int = 0
    """They are not used any more, and not checked."""
    thumbnail_damaged: int = 0
    repaired: int = 0

    @property
    def wrong(self) -> int:
        """What is damaged or missing and was not repaired."""
        damaged = self.missing + self.wrong_size + self.wrong_hash + self.unreadable
        return damaged + self.thumbnail_damaged - self.repaired

    def add(self, finding: Finding) -> None:
        """Count a finding."""
        name = finding.problem.value
        setattr(self, name, getattr(self, name) + 1)
        self.repaired += finding.repaired
        if finding.problem is Problem.UNREFERRED:
            self.unreferred_bytes += finding.size_bytes or 0


@dataclass(frozen=True, slots=True)
class Repair:
    """What came of a repair."""

    repaired: bool
    says: str


Mend = Callable[[str, Sequence[StoredRow]], Awaitable[Repair]]
"""Repairs the object of a key, which these rows name."""


class ObjectCheck:
    """One check of all objects, or of some brands'. It changes no object unless it is to mend.

    Args:
        store: the objects; without notes, so that what is known to be damaged is looked at again.
        damage: where objects of other bytes than their hash are noted.
        quick: look at presence and size only.
        at_once: objects that are read, or mended, at the same time; each takes `CHUNK_BYTES`.
        mend: repairs what is damaged; None only tells.
    """

    def __init__(
        self,
        store: ObjectStore,
        damage: DamageStore,
        *,
        quick: bool,
        at_once: int,
        mend: Mend | None,
    ) -> None:
        self.tally = Tally()
        self.folder = 0
        """The folder that is being looked at."""
        self._store = store
        self._damage = damage
        self._quick = quick
        self._slots = asyncio.Semaphore(at_once)
        self._mend = mend
        self._began = datetime.now(UTC)

    async def brands(self, pages: RowPages, first: int) -> AsyncIterator[Finding]:
        """Yield what is wrong with the objects that the rows name, from a folder on.

        Raises:
            StoreUnavailable, DatabaseUnavailable: it begins again at `folder`.
        """
        for self.folder in range(first, FOLDERS):
            async for group in pages.objects(*_range(self.folder), batch=OBJECTS_AT_ONCE):
                sizes = await self._store.sizes([rows[0].object_key for rows in group])
                for finding in await self._looked_at(pages, group, sizes):
                    yield finding

    async def everything(self, pages: RowPages, first: int) -> AsyncIterator[Finding]:
        """Yield the same, and objects that no row names, and damaged thumbnails.

        Raises:
            StoreUnavailable, DatabaseUnavailable: it begins again at `folder`.
        """
        for self.folder in range(first, FOLDERS):
            there = await self._store.list_under(f"sha256/{self.folder:02x}/")
            listed = dict(there)
            async for group in pages.objects(*_range(self.folder), batch=OBJECTS_AT_ONCE):
                found = {rows[0].object_key: listed.pop(rows[0].object_key, None) for rows in group}
                sizes = {key: one.size_bytes for key, one in found.items() if one is not None}
                for finding in await self._looked_at(pages, group, sizes):
                    yield finding
            async for finding in self._unreferred(pages, listed):
                yield finding
            async for finding in self._thumbnails(there):
                yield finding

    async def _looked_at(
        self, pages: RowPages, group: Sequence[Sequence[Row]], sizes: Mapping[str, int]
    ) -> Sequence[Finding]:
        self.tally.objects += len(group)
        keys = [rows[0].object_key for rows in group]
        problems = await self._each(
            [self._problem(rows, sizes.get(key)) for key, rows in zip(keys, group, strict=True)]
        )
        bad = {key: problem for key, problem in zip(keys, problems, strict=True) if problem}
        if gone := [key for key, problem in bad.items() if problem is Problem.MISSING]:
            # The collector may have deleted it since the rows were copied.
            named = await pages.named(gone)
            bad = {k: p for k, p in bad.items() if p is not Problem.MISSING or k in named}
        # A run sees by itself what is missing or has another size.
        if noted := [key for key, problem in bad.items() if problem in NOTED]:
            await self._damage.note(noted)
        rows_of = dict(zip(keys, group, strict=True))
        found = await self._each(
            [self._mended(problem, rows_of[key], sizes.get(key)) for key, problem in bad.items()]
        )
        for finding in found:
            self.tally.add(finding)
        return found

    async def _problem(self, rows: Sequence[Row], size: int | None) -> Problem | None:
        key = rows[0].object_key
        if size is None:
            return Problem.MISSING
        if any(row.size_bytes != size for row in rows):
            return Problem.WRONG_SIZE
        if self._quick:
            return None
        try:
            digest = await self._store.digest(key)
        except StoreUnavailable:
            await self._store.check()
            return Problem.UNREADABLE
        self.tally.bytes_read += size
        if digest is None:
            return Problem.MISSING
        return None if digest == content_hash(key) else Problem.WRONG_HASH

    async def _mended(self, problem: Problem, rows: Sequence[Row], size: int | None) -> Finding:
        key = rows[0].object_key
        outcome = Repair(False, "") if self._mend is None else await self._mend(key, rows)
        return Finding(
            problem=problem,
            object=key,
            size_bytes=size,
            brands=sorted({row.brand for row in rows})[:BRANDS_SHOWN],
            url=without_credentials(rows[0].url),
            repaired=outcome.repaired,
            outcome=outcome.says,
        )

    async def _unreferred(
        self, pages: RowPages, listed: Mapping[str, Listed]
    ) -> AsyncIterator[Finding]:
        old = {k: one for k, one in listed.items() if one.modified_at < self._began - YOUNG}
        self.tally.young += len(listed) - len(old)
        waiting = await pages.waiting(list(old))
        self.tally.waiting += len(waiting)
        for key, one in old.items():
            if key not in waiting:
                finding = Finding(Problem.UNREFERRED, key, one.size_bytes, [], None)
                self.tally.add(finding)
                yield finding

    async def _thumbnails(self, originals: Mapping[str, Listed]) -> AsyncIterator[Finding]:
        listed = await self._store.list_under(f"thumbnails/{self.folder:02x}/")
        current = [key for key in listed if original_of(key) is not None]
        self.tally.thumbnails += len(current)
        self.tally.thumbnails_of_older_versions += len(listed) - len(current)
        for key in current:
            original = original_of(key)
            if original is None:
                continue
            if not {object_key(original), older_key(original)} & originals.keys():
                finding = Finding(Problem.UNREFERRED, key, listed[key].size_bytes, [], None)
                self.tally.add(finding)
                yield finding
        if self._quick:
            return
        for start in range(0, len(current), OBJECTS_AT_ONCE):
            keys = current[start : start + OBJECTS_AT_ONCE]
            whole = await self._each([self._is_whole_thumbnail(key) for key in keys])
            for key in (key for key, good in zip(keys, whole, strict=True) if not good):
                finding = await self._discarded(key, listed[key].size_bytes)
                self.tally.add(finding)
                yield finding

    async def _is_whole_thumbnail(self, key: str) -> bool:
        stored = await self._store.find(key)
        self.tally.bytes_read += len(stored or b"")
        # One that is gone is made again when it is asked for.
        return stored is None or unsealed(key, stored) is not None

    async def _discarded(self, key: str, size: int) -> Finding:
        says = ""
        if self._mend is not None:
            await self._store.delete([key])
            says = "deleted; it is made again when it is asked for"
        return Finding(Problem.THUMBNAIL_DAMAGED, key, size, [], None, self._mend is not None, says)

    async def _each(self, work: Sequence[Awaitable[T]]) -> Sequence[T]:
        """Do work with bounded concurrency, and return the results in order."""

        async def one(each: Awaitable[T]) -> T:
            async with self._slots:
                return await each

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(each)) for each in work]
        except ExceptionGroup as failed:
            # An outage fails several at once, all for the same reason.
            raise failed.exceptions[0] from failed
        return [task.result() for task in tasks]


def _range(folder: int) -> tuple[str, str]:
    """Return the keys of a folder's rows, [low, high); the first and last have all other keys."""
    low = "" if folder == 0 else f"sha256/{folder:02x}/"
    return low, "\U0010ffff" if folder == FOLDERS - 1 else f"sha256/{folder + 1:02x}/"
