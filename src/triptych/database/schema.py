"""The schema that a database has, and whether this code may use it.

A database tells which code its schema serves, so code serves on a newer schema as long as that
says so. An older schema is used down to the previous release's: what needs a migration that was not
applied yet answers with `SchemaBehind` until it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import asyncpg

from triptych.database import previous_release
from triptych.database.migration import STRICT_LEVEL, Migration, migrations
from triptych.database.session import Database
from triptych.errors import DatabaseUnavailable

TABLES = """
select to_regclass('schema_migrations') is not null as strict,
       to_regclass('compatible_migrations') is not null as compatible
"""
STRICT = "select name from schema_migrations"
COMPATIBLE = "select name, oldest, applied_at is not null as applied from compatible_migrations"


class Fetches(Protocol):
    """A connection, or a database, that runs one statement."""

    async def fetch(self, sql: str, /) -> list[asyncpg.Record]:
        """Run it and return its rows."""
        ...


@dataclass(frozen=True, slots=True)
class Schema:
    """What was applied to a database, as one code sees it."""

    level: int
    """The number of its newest migration that was applied as a whole; 0 if there is none."""
    oldest: int
    """The schema level of the oldest code that it serves."""
    missing: tuple[Migration, ...]
    """This code's migrations that were not applied, or not wholly, in their order."""
    refusing: tuple[str, ...]
    """Migrations that this code does not know and that no longer serve it."""

    def refuse_newer(self) -> None:
        """Raise `DatabaseUnavailable` if a newer schema no longer serves this code."""
        if self.refusing:
            raise DatabaseUnavailable(
                f"The database's schema is too new for this Triptych: {', '.join(self.refusing)} "
                f"needs code of schema level {self.oldest:04} or newer, and this has "
                f"{code_level():04}.",
                remedy="Upgrade Triptych.",
            )

    def check(self) -> None:
        """Raise `DatabaseUnavailable` unless this code may serve on it."""
        self.refuse_newer()
        needed = [step.name for step in self.missing if step.level <= previous_release.LEVEL]
        if needed:
            raise DatabaseUnavailable(
                f"The database's schema lacks {', '.join(needed)}.",
                remedy="Run `triptych migrate`.",
            )

    def shown(self) -> str:
        """Return its level, the oldest code that it serves, and what is still to be applied."""
        says = f"schema level {self.level:04}, oldest compatible code {self.oldest:04}"
        if not self.missing:
            return says
        names = ", ".join(step.name for step in self.missing)
        return f"{says}, still to be applied by `triptych migrate`: {names}"


def code_level(known: Sequence[Migration] | None = None) -> int:
    """Return this code's schema level: the number of its newest migration."""
    return max(step.level for step in known or migrations())


async def read_schema(source: Fetches, known: Sequence[Migration] | None = None) -> Schema:
    """Read a database's schema. ``known`` are the code's migrations, its own unless given."""
    known = known or migrations()
    (there,) = await source.fetch(TABLES)
    strict = {row["name"] for row in await source.fetch(STRICT)} if there["strict"] else set()
    later = await source.fetch(COMPATIBLE) if there["compatible"] else []
    oldest = {row["name"]: row["oldest"] for row in later}
    applied = strict - oldest.keys() | {row["name"] for row in later if row["applied"]}
    names = {step.name for step in known}
    # A migration that is only in the older table declares nothing: it serves its own code alone.
    strictest = {name: _level(name) for name in strict - oldest.keys()}
    serves = {**oldest, **strictest}
    level = code_level(known)
    newer = (name for name, since in serves.items() if since > level and name not in names)
    return Schema(
        level=max(map(_level, applied), default=0),
        oldest=max(serves.values(), default=0),
        missing=tuple(step for step in known if step.name not in applied),
        refusing=tuple(sorted(newer)),
    )


async def check_schema(database: Database) -> Schema:
    """Return the database's schema.

    Raises:
        DatabaseUnavailable: this code may not serve on it: it lacks migrations up to the previous
            release's, or is so new that it says that it no longer serves this code.
    """
    schema = await read_schema(database)
    schema.check()
    return schema


def _level(name: str) -> int:
    number = name[:4]
    return int(number) if number.isdecimal() else STRICT_LEVEL + 1
