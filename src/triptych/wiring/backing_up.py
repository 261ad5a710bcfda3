"""Backing up the embedded shape, while it runs or not: `triptych backup`."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import asyncpg

from triptych import __version__
from triptych.backups.backup_errors import BackupFailed, NoRoom
from triptych.backups.destination import Destination
from triptych.backups.manifest import FORMAT, Manifest, Objects, SealingKey, StoredFile
from triptych.backups.object_copies import Copied, ObjectCopies
from triptych.backups.object_list import OBJECT_LIST, ObjectListWriter, listed_objects
from triptych.backups.postgres_moment import PostgresMoment, Taken, open_moment
from triptych.database.session import Database
from triptych.embedded.binaries import Binaries, find_binaries
from triptych.embedded.cluster import read_major
from triptych.embedded.data_folder import OBJECTS, POSTGRES
from triptych.embedded.dump import dump
from triptych.embedded.ownership import LOOK_EVERY_S, READY_S
from triptych.embedded.server import answers
from triptych.embedded.waits import Say, Wait, log_line
from triptych.errors import DatabaseUnavailable, PostgresServerError
from triptych.objects import open_store
from triptych.runtime.disk_space import free_bytes
from triptych.settings.settings import Settings
from triptych.wiring.sealing_keys import FILE, key_file
from triptych.wiring.services import embedded_errors, reach_database

DUMP = "database.dump"
TRIES = 3
"""Attempts to read one moment, while other processes take the database over."""
ROOM_BYTES = 64 * 1024 * 1024
"""What else a backup may take: lists, the manifest, folders."""
MIB = 1024 * 1024


class Progress(Protocol):
    """Shows how far a backup or a restore is."""

    def begin(self, what: str, total: int | None) -> None:
        """Begin a part; ``total`` is None if it is not known, and may be an estimate."""
        ...

    def reached(self, done: int) -> None:
        """Show how much of the part is done."""
        ...


@dataclass(frozen=True, slots=True)
class BackupWanted:
    """What is to be backed up, and where to."""

    destination: Path
    with_key: bool
    """Whether the sealing key is in the backup."""
    keep: int | None
    """Backups of the destination that are kept; None for all."""


@dataclass(frozen=True, slots=True)
class BackupMade:
    """A complete backup."""

    folder: Path
    manifest: Manifest
    copied: Copied
    dropped: int
    """Older backups that were removed."""
    dropped_objects: int


class _MomentLost(Exception):
    """The session that held the collector was lost, and objects are missing."""


async def back_up(
    settings: Settings, wanted: BackupWanted, *, progress: Progress, say: Say = log_line
) -> BackupMade:
    """Write a backup of the data folder that is complete or does not exist.

    Every row of the backup has its object, but for those that the store had lost before; these are
    counted in the manifest. Nothing of the data folder is changed.

    Raises:
        BackupFailed, NoRoom, DestinationInUse: with the remedy.
        PostgresServerError, DatabaseUnavailable, StoreUnavailable: what is backed up does not
            answer.
    """
    _check_places(settings, wanted)
    binaries = _binaries(settings)
    destination = Destination(wanted.destination)
    with destination.open():
        async with reach_database(settings, migrates=False, say=say) as dsn:
            for attempt in range(1, TRIES + 1):
                try:
                    folder, manifest, copied = await _Backup(
                        settings, wanted, destination, binaries, dsn, progress
                    ).write(flush_all=destination.interrupted or attempt > 1)
                    break
                except (_MomentLost, DatabaseUnavailable) as error:
                    if attempt == TRIES:
                        raise BackupFailed(
                            f"The connection to the database was lost {TRIES} times.",
                            remedy="Try again when the database stays up.",
                        ) from error
                    say("The connection to the database was lost; the backup begins again.")
                    await _until_answered(dsn, say)
        removed = (0, 0)
        if wanted.keep is not None:
            with _disk(wanted.destination):
                removed = await asyncio.to_thread(destination.drop_older, wanted.keep)
    return BackupMade(folder, manifest, copied, *removed)


def _check_places(settings: Settings, wanted: BackupWanted) -> None:
    if not settings.embedded:
        raise BackupFailed(
            "The database is not the embedded one.",
            remedy="Use the server's own backups: docs/guides/backup.md.",
        )
    if settings.store_url == "memory:":
        raise BackupFailed(
            "The objects are in the memory of another process.",
            remedy="Choose another TRIPTYCH_STORE_URL.",
        )
    data, destination = settings.data.resolve(), wanted.destination.resolve()
    if not (data / POSTGRES).is_dir():
        raise BackupFailed(f"There is no database in {data}.", remedy="Name the folder: --data.")
    if data == destination or data in destination.parents or destination in data.parents:
        raise BackupFailed(
            f"{destination} and the data folder {data} lie in each other.",
            remedy="Name a folder elsewhere, on another disk.",
        )


def _binaries(settings: Settings) -> Binaries:
    with embedded_errors():
        return find_binaries(settings.postgres_bin, major=read_major(settings.data / POSTGRES))


class _Backup:
    """One attempt to write a backup."""

    def __init__(
        self,
        settings: Settings,
        wanted: BackupWanted,
        destination: Destination,
        binaries: Binaries,
        dsn: str,
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._wanted = wanted
        self._destination = destination
        self._binaries = binaries
        self._dsn = dsn
        self._progress = progress
        self._flush_all = False

    async def write(self, *, flush_all: bool) -> tuple[Path, Manifest, Copied]:
        """Write it; return its folder, its manifest and what was copied.

        ``flush_all``: the objects that are there may not be durable.
        """
        self._flush_all = flush_all
        name = self._destination.free_id(datetime.now(UTC))
        with _disk(self._wanted.destination):
            partial = self._destination.begin(name)
            try:
                manifest, copied = await self._fill(partial, name)
                return self._destination.publish(partial, manifest), manifest, copied
            except BaseException:
                # What cannot be removed now is removed by the next backup.
                shutil.rmtree(partial, ignore_errors=True)
                raise

    async def _fill(self, folder: Path, name: str) -> tuple[Manifest, Copied]:
        settings = self._settings
        database = Database(self._dsn)
        store = open_store(settings.store_url, settings.data / OBJECTS)
        target = open_store(self._destination.objects.as_uri(), self._destination.objects)
        copies = ObjectCopies(store, target, flush_all=self._flush_all)
        async with open_moment(database) as moment:
            taken = await _taken(moment)
            key = self._sealing_key(folder)
            objects = await self._listed(moment, folder)
            await self._check_room(copies, folder, taken)
            try:
                dumped = await self._dumped(taken, folder)
            except PostgresServerError as error:
                if await moment.held():
                    raise
                raise _MomentLost from error
            await moment.release()
            await self._copied(copies, folder, objects.count)
            if copies.copied.missing and not await moment.held():
                raise _MomentLost
        copied = copies.copied
        return Manifest(
            format=FORMAT,
            id=name,
            taken_at=taken.at,
            ended_at=datetime.now(UTC),
            release=__version__,
            postgres=self._binaries.version,
            schema=list(taken.schema),
            database=dumped,
            database_bytes=taken.database_bytes,
            object_list=objects.stored(),
            objects=Objects(
                count=objects.count,
                size_bytes=objects.size_bytes,
                copied=copied.count,
                copied_bytes=copied.size_bytes,
                missing=copied.missing,
            ),
            sealing_key=key,
            rows=taken.rows,
            runs_active=taken.runs_active,
        ), copied

    async def _listed(self, moment: PostgresMoment, folder: Path) -> ObjectListWriter:
        self._progress.begin("Listing objects", None)
        with ObjectListWriter(folder) as writer:
            async for page in moment.objects():
                for each in page:
                    writer.add(each)
                self._progress.reached(writer.count)
        return writer

    async def _check_room(self, copies: ObjectCopies, folder: Path, taken: Taken) -> None:
        absent = await copies.absent_bytes(listed_objects(folder / OBJECT_LIST))
        needed, free = absent + taken.table_bytes + ROOM_BYTES, free_bytes(folder)
        if free < needed:
            raise NoRoom(
                f"The backup may need {needed / MIB:,.0f} MiB, and {self._wanted.destination} has "
                f"{free / MIB:,.0f} MiB.",
                remedy="Free some space there, remove older backups with --keep, or name another "
                "disk.",
            )

    async def _dumped(self, taken: Taken, folder: Path) -> StoredFile:
        self._progress.begin("Dumping the database", taken.table_bytes)
        hashed, written = hashlib.sha256(), 0
        descriptor = os.open(folder / DUMP, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with embedded_errors(), os.fdopen(descriptor, "wb") as file:
            async for chunk in dump(self._binaries, self._dsn, snapshot=taken.snapshot):
                await asyncio.to_thread(file.write, chunk)
                hashed.update(chunk)
                written += len(chunk)
                self._progress.reached(written)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        return StoredFile(DUMP, written, hashed.hexdigest())

    async def _copied(self, copies: ObjectCopies, folder: Path, count: int) -> None:
        self._progress.begin("Copying objects", count)
        async for copied in copies.copy(listed_objects(folder / OBJECT_LIST)):
            self._progress.reached(copied.looked_at)

    def _sealing_key(self, folder: Path) -> SealingKey:
        """Copy the key, if it is to be in the backup.

        A rotation starts every process again between its steps, so the keys of this moment open
        what the rows of this moment have sealed.
        """
        path = key_file(self._settings)
        if path is None:
            return SealingKey.ELSEWHERE
        try:
            keys = path.read_bytes()
        except FileNotFoundError:
            return SealingKey.NONE
        if not self._wanted.with_key:
            return SealingKey.LEFT_OUT
        descriptor = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(keys)
            file.flush()
            os.fsync(file.fileno())
        return SealingKey.INCLUDED


async def _until_answered(dsn: str, say: Say) -> None:
    """Wait for the process that takes the database over."""
    wait = Wait("for the database", READY_S, say)
    while wait.goes_on():
        if await answers(dsn):
            return
        await asyncio.sleep(LOOK_EVERY_S)


async def _taken(moment: PostgresMoment) -> Taken:
    try:
        return await moment.take()
    except asyncpg.UndefinedTableError as error:
        raise BackupFailed(
            f"The database has no complete schema ({error}).", remedy="Start `triptych up` once."
        ) from error


@contextmanager
def _disk(place: Path) -> Iterator[None]:
    """Convert errors of the operating system to Triptych's."""
    try:
        yield
    except OSError as error:
        raise BackupFailed(
            f"{place} cannot be written ({error}).", remedy="Free some space, or name another disk."
        ) from error
