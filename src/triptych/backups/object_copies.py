"""Copying objects from one store to another, each checked against its hash."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from triptych.backups.backup_errors import NoRoom
from triptych.backups.object_list import ListedObject
from triptych.errors import ObjectMissing, StoreFull, StoreUnavailable
from triptych.objects import CHUNK_BYTES, ObjectStore

AT_ONCE = 8
"""Objects that are copied at the same time; each takes a few `STREAMED_BYTES` of memory at most."""
BATCH = 500
"""Objects that are looked for, and made durable, at once."""
STREAMED_BYTES = 8 * CHUNK_BYTES
"""Larger objects are not held in memory."""
MEDIA_TYPE = "application/octet-stream"
"""A folder keeps no types, and the rows have them."""
MISSING_SHOWN = 20


@dataclass(slots=True)
class Copied:
    """What has been copied so far."""

    looked_at: int = 0
    count: int = 0
    size_bytes: int = 0
    missing: int = 0
    first_missing: list[str] = field(default_factory=list)
    """Keys of the first ones."""


class ObjectCopies:
    """Copies listed objects that are not there yet.

    An object is written only if its bytes have the hash of the list, so what is at the target is
    whole. One that the source has lost, or has other bytes of, is counted.
    """

    def __init__(
        self, source: ObjectStore, target: ObjectStore, *, flush_all: bool = False
    ) -> None:
        """``flush_all``: what is there may not be durable, because its copy was interrupted."""
        self.copied = Copied()
        self._flush_all = flush_all
        self._source = source
        self._target = target
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def absent_bytes(self, listed: Iterator[ListedObject]) -> int:
        """Return how many bytes are to be copied.

        Raises:
            StoreUnavailable: the target cannot be read.
        """
        absent = 0
        async for batch in _batches(listed):
            absent += sum(each.size_bytes for each in await self._absent(batch))
        return absent

    async def copy(self, listed: Iterator[ListedObject]) -> AsyncIterator[Copied]:
        """Copy what is absent, durably; yield how far it is.

        Raises:
            StoreUnavailable: the source cannot be read, or the target not be written.
            NoRoom: the target's disk is full.
        """
        try:
            async for batch in _batches(listed):
                absent = await self._absent(batch)
                await self._copy_batch(absent)
                if self._flush_all:
                    await self._flush_others(batch, absent)
                self.copied.looked_at += len(batch)
                yield self.copied
        except StoreFull as error:
            raise NoRoom(error.message, remedy="Free some space on it, and try again.") from error

    async def _absent(self, batch: Sequence[ListedObject]) -> Sequence[ListedObject]:
        sizes = await self._target.sizes([each.key for each in batch])
        return [each for each in batch if sizes.get(each.key) != each.size_bytes]

    async def _copy_batch(self, absent: Sequence[ListedObject]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(each)) for each in absent]
        except ExceptionGroup as failed:
            # An outage fails several at once, all for the same reason.
            raise failed.exceptions[0] from failed
        done = [each for each, task in zip(absent, tasks, strict=True) if task.result()]
        small = [each.key for each in done if each.size_bytes <= STREAMED_BYTES]
        lost = await self._target.flush(small)
        for each in done:
            if each.key in lost:
                self._missed(each.key)
            else:
                self.copied.count += 1
                self.copied.size_bytes += each.size_bytes

    async def _flush_others(
        self, batch: Sequence[ListedObject], absent: Sequence[ListedObject]
    ) -> None:
        copied = {each.key for each in absent}
        there = [each for each in batch if each.key not in copied]
        lost = await self._target.flush([each.key for each in there])
        await self._copy_batch([each for each in there if each.key in lost])

    async def _one(self, each: ListedObject) -> bool:
        """Copy an object; return whether it could be read whole."""
        async with self._slots:
            try:
                if each.size_bytes > STREAMED_BYTES:
                    await self._stream(each)
                else:
                    body = await self._source.get(each.key, size_bytes=each.size_bytes)
                    if each.sha256 and hashlib.sha256(body).hexdigest() != each.sha256:
                        raise await self._source.damaged(each.key)
                    await self._target.put_as(each.key, body, MEDIA_TYPE)
            except ObjectMissing:
                self._missed(each.key)
                return False
            return True

    async def _stream(self, each: ListedObject) -> None:
        file = self._target.open_file(each.key)
        sha256 = bytes.fromhex(each.sha256) or None
        try:
            async for chunk in self._source.stream(
                each.key, size_bytes=each.size_bytes, sha256=sha256
            ):
                await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(file.close)
        except BaseException:
            # Closing it names it, with the bytes so far.
            with suppress(StoreUnavailable):
                await asyncio.to_thread(file.close)
            await self._target.delete([each.key])
            raise

    def _missed(self, key: str) -> None:
        self.copied.missing += 1
        if len(self.copied.first_missing) < MISSING_SHOWN:
            self.copied.first_missing.append(key)


async def _batches(listed: Iterator[ListedObject]) -> AsyncIterator[Sequence[ListedObject]]:
    """Yield a list that is read from a file, in parts."""
    while batch := await asyncio.to_thread(_take, listed):
        yield batch


def _take(listed: Iterable[ListedObject]) -> Sequence[ListedObject]:
    return list(islice(listed, BATCH))
