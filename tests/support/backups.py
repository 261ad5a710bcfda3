"""Backups in the test's process: without a terminal, and complete folders made by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from triptych.backups.destination import Destination
from triptych.backups.manifest import FORMAT, Manifest, Objects, SealingKey, StoredFile
from triptych.backups.object_list import ListedObject, ObjectListWriter
from triptych.objects import object_key
from triptych.settings.settings import Settings
from triptych.wiring.backing_up import BackupMade, BackupWanted, back_up
from triptych.wiring.restoring import Restored, restore_backup

TAKEN = datetime(2026, 11, 29, 19, 0, tzinfo=UTC)


class Silent:
    """Progress that nobody sees; it notes which parts there were."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def begin(self, what: str, total: int | None) -> None:
        self.parts.append(what)

    def reached(self, done: int) -> None:
        pass


async def backed_up(
    settings: Settings, destination: Path, *, with_key: bool = True, keep: int | None = None
) -> BackupMade:
    wanted = BackupWanted(destination, with_key=with_key, keep=keep)
    return await back_up(settings, wanted, progress=Silent())


async def restored(
    settings: Settings, backup: Path, data: Path, *, sealing_key: Path | None = None
) -> Restored:
    target = settings.model_copy(update={"data": data})
    return await restore_backup(target, backup, sealing_key=sealing_key, progress=Silent())


def listed(body: bytes) -> ListedObject:
    sha256 = hashlib.sha256(body).digest()
    return ListedObject(object_key(sha256), len(body), sha256.hex())


def manifest_of(name: str, objects: Sequence[ListedObject], stored: StoredFile) -> Manifest:
    return Manifest(
        format=FORMAT,
        id=name,
        taken_at=TAKEN,
        ended_at=TAKEN,
        release="0.1.0",
        postgres="18.4",
        schema=["0001_catalogue"],
        database=StoredFile("database.dump", 0, hashlib.sha256(b"").hexdigest()),
        database_bytes=0,
        object_list=stored,
        objects=Objects(len(objects), 0, 0, 0, 0),
        sealing_key=SealingKey.NONE,
        rows={},
        runs_active=0,
    )


def publish(destination: Destination, name: str, bodies: Sequence[bytes]) -> Path:
    """Make a backup of these objects by hand."""
    folder = destination.begin(name)
    objects = sorted((listed(body) for body in bodies), key=lambda each: each.key)
    with ObjectListWriter(folder) as writer:
        for each in objects:
            writer.add(each)
    for body in bodies:
        path = destination.objects / listed(body).key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return destination.publish(folder, manifest_of(name, objects, writer.stored()))
