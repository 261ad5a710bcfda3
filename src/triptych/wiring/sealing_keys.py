"""Where the sealing keys come from: the setting, AWS Secrets Manager, or the data folder."""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from triptych.database.session import Database
from triptych.errors import SettingsError
from triptych.runs.postgres.sealed_sources import SealedSources
from triptych.runtime.file_flush import flush_folder
from triptych.sealing.key_ring import FIELD, KeyRing, key_is_missing
from triptych.settings.settings import Settings
from triptych.tasks.postgres_tasks import count_audited_sources, hide_audited_sources
from triptych.webhooks.sealed_webhooks import SealedWebhooks
from triptych.wiring.aws_secrets import fetch_secret

FILE = "sealing.key"
"""In the data folder, beside the cluster's folder: Postgres cannot read it where it has an account
of its own, and a dump of the database does not have it."""
KEY_BYTES = 48
ARN = "arn:"

_logger = structlog.get_logger(__name__)


async def open_keys(settings: Settings) -> KeyRing:
    """Return the keys that the settings name; with the embedded database, make the first one.

    Raises:
        SettingsError: a key is too short, or cannot be read, fetched or made.
    """
    if settings.sealing_key is not None:
        text = settings.sealing_key.get_secret_value()
        if text.startswith(ARN):
            text = await asyncio.to_thread(fetch_secret, text, field=FIELD)
        return KeyRing.read(text)
    if settings.embedded:
        return KeyRing.read(await asyncio.to_thread(_kept, settings.data))
    return KeyRing()


def key_file(settings: Settings) -> Path | None:
    """Return the file that the keys are read from; None if they come from elsewhere."""
    kept = settings.sealing_key is None and settings.embedded
    return settings.data / FILE if kept else None


def _kept(data: Path) -> str:
    """Return the text of the data folder's file of keys; make it with one key if there is none."""
    path = data / FILE
    try:
        if not path.exists():
            _make(path)
        _refuse_open(path)
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The sealing key in {path} cannot be used ({error}).",
            field=FIELD,
            remedy="Let only the account that runs Triptych read it, or give the key here.",
        ) from error


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, made = tempfile.mkstemp(prefix=f"{FILE}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_urlsafe(KEY_BYTES)}\n")
            file.flush()
            os.fsync(descriptor)
        try:
            # Another process may have made one meanwhile: that is the key then.
            os.link(made, path)
        except FileExistsError:
            return
        flush_folder(path.parent)
    finally:
        os.unlink(made)  # noqa: PTH108


def _refuse_open(path: Path) -> None:
    if is_open_to_others(path):
        _logger.warning("sealing_key_open_to_others", file=str(path), remedy="chmod 600")


def is_open_to_others(path: Path) -> bool:
    """Return whether accounts other than its owner may read or write a file."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What a database has in plain text that is to be sealed."""

    sources: int
    webhooks: int
    audited: int
    """Entries of the audit with the source of a request; there they are only taken out."""

    def __str__(self) -> str:
        """Return it as a sentence's part."""
        return f"sources: {self.sources}, webhooks: {self.webhooks}, audit: {self.audited}"

    def __bool__(self) -> bool:
        """Return whether there is anything."""
        return bool(self.sources or self.webhooks or self.audited)


async def count_unsealed(database: Database) -> Unsealed:
    """Count the secrets in plain text."""
    sources = await SealedSources(KeyRing()).plain(database)
    webhooks = await database.rows("plain_webhooks")
    return Unsealed(len(sources), webhooks[0]["count"], await count_audited_sources(database))


async def seal_all(database: Database, keys: KeyRing) -> Unsealed:
    """Seal what is in plain text or with a key that no longer seals; return how much that was.

    May be stopped at any point and repeated. Without a key nothing is sealed, and a warning says
    how much there is.

    Raises:
        SettingsError: something is sealed with a key that is not here.
    """
    await check_keys(database, keys)
    audited = await hide_audited_sources(database)
    if not keys:
        if left := await count_unsealed(database):
            _logger.warning("secrets_unsealed", what=str(left), setting=FIELD)
        return left
    sealed = Unsealed(
        await SealedSources(keys).seal_written(database),
        await SealedWebhooks(keys).seal_written(database),
        audited,
    )
    if sealed:
        _logger.info("secrets_sealed", **asdict(sealed))
    return sealed


async def check_keys(database: Database, keys: KeyRing) -> None:
    """Check that all that is sealed can be opened.

    Raises:
        SettingsError: something is sealed with a key that is not here.
    """
    for name in ("keys_of_sources", "keys_of_webhooks"):
        for row in await database.rows(name):
            if row["id"] not in keys.ids:
                raise key_is_missing(row["id"])
