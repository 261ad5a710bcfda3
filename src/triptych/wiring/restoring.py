"""Restoring a backup of the embedded shape into a new data folder: `triptych restore`."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from triptych.backups.backup_errors import BackupUnusable, NoRoom, RestoreFailed
from triptych.backups.destination import find_backup
from triptych.backups.manifest import Manifest, SealingKey, check_file
from triptych.backups.object_copies import Copied, ObjectCopies
from triptych.backups.object_list import listed_objects
from triptych.backups.postgres_moment import count_rows, resume_runs
from triptych.database.migration import migrations
from triptych.database.session import Database
from triptych.embedded.accounts import Account
from triptych.embedded.binaries import Binaries, find_binaries
from triptych.embedded.cluster import Cluster, read_major
from triptych.embedded.data_folder import OBJECTS, POSTGRES, DataFolder
from triptych.embedded.dump import CHUNK_BYTES, load
from triptych.embedded.ownership import own
from triptych.embedded.server import EmbeddedPostgres
from triptych.embedded.sockets import DSN
from triptych.embedded.waits import Say, log_line
from triptych.errors import BadInput, SettingsError
from triptych.objects import open_store
from triptych.queues.pgmq import let_go
from triptych.runtime.disk_space import free_bytes
from triptych.runtime.file_flush import flush_folder
from triptych.settings.settings import Settings
from triptych.snapshots.object_check import Finding, Tally
from triptych.wiring.backing_up import MIB, ROOM_BYTES, Progress
from triptych.wiring.sealing_keys import FILE
from triptych.wiring.services import embedded_errors, migrate_at
from triptych.wiring.verification import Wanted, open_verification

AT_ONCE = 8
"""Objects that are checked at the same time."""
UNFINISHED = ".{name}.restoring"
"""Beside the data folder: what is restored so far. It gets its name when it is complete."""
FINDINGS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Restored:
    """A data folder that was made of a backup."""

    backup: Path
    manifest: Manifest
    data: Path
    copied: Copied
    applied: list[str]
    """Migrations: the backup's schema was older."""
    runs_resumed: int
    runs_held: int
    tally: Tally
    """Of a check of all objects against all rows, as `triptych verify` makes it."""
    findings: list[Finding]
    """The first ones."""


async def restore_backup(
    settings: Settings,
    path: Path,
    *,
    sealing_key: Path | None,
    progress: Progress,
    say: Say = log_line,
) -> Restored:
    """Make the data folder of a backup; it is complete, or does not exist.

    Args:
        settings: the data folder that is to be made, and the object store.
        path: a backup's folder, or a destination: then it is the newest one.
        sealing_key: a file with the key, if the backup does not have it.
        progress: shows how far it is.
        say: shows the user one line for what takes long.

    Raises:
        BackupUnusable, NoRoom, BadInput: nothing was changed; with the remedy.
        SettingsError: the sealing key is missing or another.
        PostgresServerError, StoreUnavailable: the database or the store cannot be written.
    """
    backup, objects, manifest = await asyncio.to_thread(find_backup, path)
    _check_target(settings)
    _check_schema(backup, manifest)
    binaries = _binaries(settings, manifest)
    target = settings.data.absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_room(settings, target.parent, manifest)
        restoring = _Restoring(settings, backup, objects, manifest, binaries, progress, say)
        with _unfinished(target, binaries) as unfinished:
            restored = await restoring.make(unfinished, target, sealing_key)
            (unfinished / DSN).unlink(missing_ok=True)
            _name(unfinished, target)
    except OSError as error:
        raise RestoreFailed(
            f"{target} cannot be written ({error}).", remedy="Name a folder on another disk."
        ) from error
    return restored


def _check_target(settings: Settings) -> None:
    target = settings.data.absolute()
    if not settings.embedded:
        raise BadInput(
            "A backup is restored into an embedded database, and the settings name another.",
            field="TRIPTYCH_DATABASE_URL",
            remedy="Leave it empty.",
        )
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise BadInput(f"{target} is no folder.", field="--data", remedy="Name a new folder.")
    if target.is_dir() and any(target.iterdir()):
        raise BadInput(
            f"{target} is not empty.", field="--data", remedy="Name a new folder, or move it away."
        )
    if target.is_mount():
        raise BadInput(
            f"{target} is the root of a disk, which cannot be replaced.",
            field="--data",
            remedy=f"Name a folder in it: {target / 'triptych'}.",
        )


def _check_schema(backup: Path, manifest: Manifest) -> None:
    known = {step.name for step in migrations()}
    if newer := sorted(set(manifest.schema) - known):
        raise BackupUnusable(
            f"{backup} was made by the newer release {manifest.release}: its schema has "
            f"{', '.join(newer)}.",
            remedy=f"Restore it with Triptych {manifest.release} or newer.",
        )


def _binaries(settings: Settings, manifest: Manifest) -> Binaries:
    with embedded_errors():
        binaries = find_binaries(settings.postgres_bin)
    if binaries.major < int(manifest.postgres.partition(".")[0]):
        raise BackupUnusable(
            f"The backup is of Postgres {manifest.postgres}, and the programs are of "
            f"{binaries.version}.",
            remedy="Set TRIPTYCH_POSTGRES_BIN to a newer one.",
        )
    return binaries


def _check_room(settings: Settings, place: Path, manifest: Manifest) -> None:
    stored_here = settings.store_url == "file:"
    needed = manifest.database_bytes + ROOM_BYTES
    needed += manifest.objects.size_bytes if stored_here else 0
    if (free := free_bytes(place)) < needed:
        raise NoRoom(
            f"The backup needs {needed / MIB:,.0f} MiB, and {place} has {free / MIB:,.0f} MiB.",
            remedy="Free some space, or name a folder on another disk.",
        )


@contextmanager
def _unfinished(target: Path, binaries: Binaries) -> Iterator[Path]:
    """Yield the path of a folder beside the target; remove what was left there, and what is left.

    Raises:
        DataFolderInUse: another process restores into the same folder.
    """
    path = target.with_name(UNFINISHED.format(name=target.name))
    with embedded_errors():
        if path.exists():
            with DataFolder(path).lock():
                _remove(path, binaries)
        DataFolder(path)
    try:
        yield path
    except BaseException:
        _remove(path, binaries)
        raise


def _remove(path: Path, binaries: Binaries) -> None:
    """Remove an unfinished folder; end the server of a process that was killed there."""
    postgres = path / POSTGRES
    if read_major(postgres) is not None:
        Cluster(postgres, Account.choose(None, postgres), binaries).end_lingering()
    shutil.rmtree(path, ignore_errors=True)


def _name(unfinished: Path, target: Path) -> None:
    """Give a complete folder its name, durably."""
    try:
        unfinished.rename(target)
    except OSError as error:
        raise BadInput(
            f"{target} cannot be made of what was restored ({error.strerror}).",
            field="--data",
            remedy="Is something in it by now? Name a new folder.",
        ) from error
    flush_folder(target.parent)


class _Restoring:
    """One restore into an unfinished folder."""

    def __init__(
        self,
        settings: Settings,
        backup: Path,
        objects: Path,
        manifest: Manifest,
        binaries: Binaries,
        progress: Progress,
        say: Say,
    ) -> None:
        self._settings = settings
        self._backup = backup
        self._objects = objects
        self._manifest = manifest
        self._binaries = binaries
        self._progress = progress
        self._say = say
        self._applied: list[str] = []
        self._runs = (0, 0)

    async def make(self, folder: Path, target: Path, sealing_key: Path | None) -> Restored:
        settings = self._settings.model_copy(update={"data": folder})
        copied = await self._copy(settings)
        self._put_key(folder, sealing_key)
        await self._load(settings)
        tally, findings = await self._verify(settings)
        return Restored(
            backup=self._backup,
            manifest=self._manifest,
            data=target,
            copied=copied,
            applied=self._applied,
            runs_resumed=self._runs[0],
            runs_held=self._runs[1],
            tally=tally,
            findings=findings,
        )

    async def _copy(self, settings: Settings) -> Copied:
        """Copy the objects, each checked against its hash."""
        object_list = await asyncio.to_thread(check_file, self._backup, self._manifest.object_list)
        source = open_store(self._objects.as_uri(), self._objects)
        target = open_store(settings.store_url, settings.data / OBJECTS)
        await target.check()
        copies = ObjectCopies(source, target)
        self._progress.begin("Copying objects", self._manifest.objects.count)
        async for copied in copies.copy(listed_objects(object_list)):
            self._progress.reached(copied.looked_at)
        return copies.copied

    def _put_key(self, folder: Path, given: Path | None) -> None:
        kept = self._backup / FILE
        source = given or (kept if self._manifest.sealing_key is SealingKey.INCLUDED else None)
        if source is None:
            return
        try:
            keys = source.read_bytes()
        except OSError as error:
            raise BadInput(
                f"{source} cannot be read ({error.strerror}).",
                field="--sealing-key",
                remedy="Name a copy of the file sealing.key.",
            ) from error
        descriptor = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(keys)
            file.flush()
            os.fsync(file.fileno())

    async def _load(self, settings: Settings) -> None:
        dump = await asyncio.to_thread(check_file, self._backup, self._manifest.database)
        self._progress.begin("Loading the database", self._manifest.database.size_bytes)
        with embedded_errors():
            make = partial(
                EmbeddedPostgres, settings.data, binaries=settings.postgres_bin, say=self._say
            )
            prepare = partial(self._prepare, settings, dump)
            async with own(DataFolder(settings.data), make, prepare, say=self._say):
                pass

    async def _prepare(self, settings: Settings, dump: Path, dsn: str) -> None:
        await load(self._binaries, dsn, self._chunks(dump))
        database = Database(dsn)
        try:
            found = await count_rows(database, self._manifest.rows)
            if found != dict(self._manifest.rows):
                raise BackupUnusable(
                    f"The dump has other rows than its manifest says: {found}.",
                    remedy="Restore another backup.",
                )
            self._applied = list(await self._migrated(settings, dsn))
            # The workers that held messages are not here.
            await let_go(database)
            age = datetime.now(UTC) - self._manifest.taken_at
            self._runs = await resume_runs(database, max(0.0, age.total_seconds()))
        finally:
            await database.close()

    async def _migrated(self, settings: Settings, dsn: str) -> list[str]:
        try:
            return list(await migrate_at(settings, dsn, say=self._say))
        except SettingsError as error:
            if self._manifest.sealing_key in {SealingKey.INCLUDED, SealingKey.NONE}:
                raise
            raise SettingsError(
                f"{error.message} The backup does not have the key: it was "
                f"{self._manifest.sealing_key.value.replace('_', ' ')}.",
                field=error.field,
                remedy="Name a copy of the file sealing.key with --sealing-key.",
            ) from error

    async def _chunks(self, dump: Path) -> AsyncIterator[bytes]:
        with dump.open("rb") as file:
            read = 0
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk
                read += len(chunk)
                self._progress.reached(read)

    async def _verify(self, settings: Settings) -> tuple[Tally, list[Finding]]:
        self._progress.begin("Checking every object", self._manifest.objects.count)
        wanted = Wanted([], quick=False, repair=False, at_once=AT_ONCE, first=0)
        findings: list[Finding] = []
        async with open_verification(settings, wanted, say=self._say) as verification:
            async for finding in verification.findings:
                if len(findings) < FINDINGS_SHOWN:
                    findings.append(finding)
                self._progress.reached(verification.check.tally.objects)
        return verification.check.tally, findings
