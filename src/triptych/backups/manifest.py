"""The backup manifest: what a backup holds. It is written last, and makes it complete."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from triptych.backups.backup_errors import BackupUnusable
from triptych.wire import Wire

MANIFEST = "manifest.json"
FORMAT = 1
"""Raise it when an older release could not restore what is written."""
HASHED_AT_ONCE_BYTES = 1024 * 1024


class SealingKey(Enum):
    """Where the key is that opens the sealed secrets of the database."""

    INCLUDED = "included"
    """In the backup."""
    LEFT_OUT = "left_out"
    """In the data folder, and on request not in the backup."""
    ELSEWHERE = "elsewhere"
    """In the setting ``TRIPTYCH_SEALING_KEY``, so never in a backup."""
    NONE = "none"
    """There was none yet."""


class StoredFile(Wire, frozen=True):
    """A file in the backup's own folder."""

    name: str
    size_bytes: int
    sha256: Annotated[str, Meta(description="Of its bytes, in hexadecimal digits.")]


class Objects(Wire, frozen=True):
    """The objects that the database's rows name, and the files of exports that its tasks name."""

    count: int
    size_bytes: int
    copied: Annotated[int, Meta(description="By this backup; the others were there.")]
    copied_bytes: int
    missing: Annotated[
        int, Meta(description="Lost or damaged in the store already, and not in the backup.")
    ]


class Manifest(Wire, frozen=True):
    """One complete backup."""

    format: int
    id: str
    taken_at: Annotated[datetime, Meta(description="The moment that the backup is of.")]
    ended_at: datetime
    release: Annotated[str, Meta(description="Of Triptych.")]
    postgres: Annotated[str, Meta(description="Version of the server and of pg_dump.")]
    schema: Annotated[list[str], Meta(description="Migrations that were applied.")]
    database: StoredFile
    database_bytes: Annotated[int, Meta(description="Size of the database, with its indexes.")]
    object_list: StoredFile
    objects: Objects
    sealing_key: SealingKey
    rows: Annotated[Mapping[str, int], Meta(description="Rows by table, of the main ones.")]
    runs_active: Annotated[int, Meta(description="Runs that were under way.")]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into a backup's folder, durably. Blocks.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / MANIFEST
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in a backup's folder. Blocks.

    Raises:
        BackupUnusable: there is none, so the backup is not complete; or it cannot be read.
    """
    path = folder / MANIFEST
    try:
        read = path.read_bytes()
        if (written := msgspec.json.decode(read, type=_AnyFormat).format) > FORMAT:
            raise BackupUnusable(
                f"{folder} has the format {written}, which this release does not know.",
                remedy="Upgrade Triptych.",
            )
        return msgspec.json.decode(read, type=Manifest)
    except OSError as error:
        raise BackupUnusable(
            f"{folder} is no complete backup: its {MANIFEST} cannot be read ({error.strerror}).",
            remedy="Name a destination of `triptych backup`, or one of the folders in its "
            "folder `backups`.",
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupUnusable(f"{path} is not a manifest of a backup ({error}).") from error


class _AnyFormat(Wire, frozen=True):
    format: int


def check_file(folder: Path, stored: StoredFile) -> Path:
    """Return the path of a backup's file once its bytes are those of the manifest. Blocks.

    Raises:
        BackupUnusable: it is missing or damaged.
    """
    # A manifest that was edited leads nowhere else.
    path = folder / Path(stored.name).name
    hashed = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(HASHED_AT_ONCE_BYTES):
                hashed.update(chunk)
    except OSError as error:
        raise BackupUnusable(f"{path} cannot be read ({error.strerror}).") from error
    if hashed.hexdigest() != stored.sha256:
        raise BackupUnusable(
            f"{path} is damaged: its bytes are not those that were written.",
            remedy="Restore another backup.",
        )
    return path
