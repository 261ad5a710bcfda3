"""Migrations: numbered SQL, each applied once and in order, under an advisory lock.

``0002`` is pgmq's own SQL, read from its package: it cannot be run twice, which the table of
applied migrations prevents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from triptych.database.session import Database, translated
from triptych.errors import DatabaseUnavailable, SettingsError

LOCK_KEY = 0x7472697074796368
"""``triptych`` in ASCII: the advisory lock that migrations are applied under."""
MIGRATION_TIMEOUT_S = 3600.0
PGMQ_MIGRATION = "0002_pgmq"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema."""

    name: str
    sql: str


def migrations() -> Sequence[Migration]:
    """Return all migrations in their order."""
    folder = resources.files(__package__).joinpath("migrations")
    own = [
        Migration(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted([*own, Migration(PGMQ_MIGRATION, _pgmq_sql())], key=lambda step: step.name)


async def migrate(database: Database) -> Sequence[str]:
    """Apply missing migrations; return their names. Safe to run concurrently.

    Raises:
        DatabaseUnavailable: the database does not answer.
        SettingsError: its role may not create what is needed, or pgvector is missing.
    """
    with translated():
        connection = await database.connect()
        try:
            return await _apply_missing(connection)
        except (asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError) as error:
            raise SettingsError(
                f"The schema cannot be created ({error}).",
                field="TRIPTYCH_DATABASE_URL",
                remedy="Use a role that may create extensions, on a Postgres that has pgvector.",
            ) from error
        finally:
            await connection.close()


async def check_schema(database: Database) -> None:
    """Raise `DatabaseUnavailable` unless exactly this version's migrations were applied."""
    known = {step.name for step in migrations()}
    try:
        rows = await database.fetch("select name from schema_migrations")
    except asyncpg.UndefinedTableError:
        rows = []
    applied = {row["name"] for row in rows}
    if missing := sorted(known - applied):
        raise DatabaseUnavailable(
            f"The database's schema lacks {', '.join(missing)}.", remedy="Run `triptych migrate`."
        )
    if newer := sorted(applied - known):
        raise DatabaseUnavailable(
            f"The database's schema is newer than this Triptych ({', '.join(newer)}).",
            remedy="Upgrade Triptych.",
        )


async def _apply_missing(connection: asyncpg.Connection) -> Sequence[str]:
    applied: list[str] = []
    async with connection.transaction():
        await connection.execute(
            "select pg_advisory_xact_lock($1)", LOCK_KEY, timeout=MIGRATION_TIMEOUT_S
        )
        await connection.execute(
            "create table if not exists schema_migrations ("
            "name text primary key, at timestamptz not null default now())"
        )
        there = {
            row["name"] for row in await connection.fetch("select name from schema_migrations")
        }
        for step in migrations():
            if step.name in there:
                continue
            if step.name != PGMQ_MIGRATION or not await _has_pgmq(connection):
                await connection.execute(step.sql, timeout=MIGRATION_TIMEOUT_S)
            await connection.execute("insert into schema_migrations values ($1)", step.name)
            applied.append(step.name)
    return applied


async def _has_pgmq(connection: asyncpg.Connection) -> bool:
    """Return whether pgmq exists already, as an extension or from another installation."""
    return bool(await connection.fetchval("select to_regclass('pgmq.meta') is not null"))


def _pgmq_sql() -> str:
    # The package is located, not imported: importing it would load a second database driver.
    spec = find_spec("pgmq")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package pgmq is not installed")
    root = Path(spec.submodule_search_locations[0])
    return (root / "sql" / "pgmq.sql").read_text(encoding="utf-8")
