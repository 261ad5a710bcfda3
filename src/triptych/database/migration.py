"""Migrations: numbered SQL files, each of which says in its first lines which code it still serves.

::

    -- oldest compatible: 0029
    -- long

The first line is the schema level of the oldest code that works once the migration is applied; a
code's schema level is the number of its newest migration. Files up to `STRICT_LEVEL` have no such
line: the code of that time refuses every migration that it does not know.

A file with the second line is *long*. It is not applied in a transaction, but statement by
statement, while everything else goes on. Each statement has a name, ``-- fill_side --``, and can be
repeated, since a process may be killed between a statement and the note that it was run.
``-- fill_side until none --`` is repeated until it changes no row, each time in a transaction of
its own. No short migration depends on a long one.

``0002`` is pgmq's own SQL, read from its package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

STRICT_LEVEL = 29
"""The last schema level whose code refuses every migration that it does not know. It looks only at
the table ``schema_migrations``, so later migrations are recorded in ``compatible_migrations``, and
in both if they no longer serve that code."""
PGMQ_MIGRATION = "0002_pgmq"

_FILE = re.compile(r"^(\d{4})_\w+$")
_OLDEST = re.compile(r"^-- oldest compatible: (\d{4})$")
_LONG = "-- long"
_STATEMENT = re.compile(r"^-- (\w+)( until none)? --$", re.MULTILINE)
_CONCURRENTLY = re.compile(r"\bconcurrently\b", re.IGNORECASE)
_INDEX = re.compile(
    r"\A\s*create\s+(?:unique\s+)?index\s+concurrently\s+if\s+not\s+exists\s+(\w+)\s+on\s",
    re.IGNORECASE,
)
_MAKES_INDEX = re.compile(r"\A\s*create\s+(?:unique\s+)?index\b", re.IGNORECASE)
_COMMENT = re.compile(r"--[^\n]*")


@dataclass(frozen=True, slots=True)
class LongStatement:
    """One statement of a long migration."""

    name: str
    sql: str
    until_none: bool
    """It is repeated until it changes no row."""
    index: str | None
    """The index that it builds concurrently, if it does."""

    @property
    def concurrent(self) -> bool:
        """Whether Postgres refuses it in a transaction, and it waits for others without harm."""
        return _CONCURRENTLY.search(_COMMENT.sub("", self.sql)) is not None


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema."""

    name: str
    sql: str
    level: int
    """Its number."""
    oldest: int
    """The schema level of the oldest code that works once it is applied."""
    statements: tuple[LongStatement, ...] = ()
    """Those of a long migration; none if it is applied as a whole, in a transaction."""

    @property
    def long(self) -> bool:
        """Whether it is applied statement by statement, outside of a transaction."""
        return bool(self.statements)


def read_migration(name: str, sql: str) -> Migration:
    """Return the migration of a file's name, without its ending, and its text.

    Raises:
        RuntimeError: it does not say what it has to, or not in the form above.
    """
    numbered = _FILE.match(name)
    if numbered is None:
        raise RuntimeError(f"migration {name}: its name is no number of four digits and words")
    level = int(numbered[1])
    if level <= STRICT_LEVEL:
        return Migration(name, sql, level, oldest=level)
    first, *rest = sql.splitlines() or [""]
    declared = _OLDEST.match(first)
    if declared is None:
        raise RuntimeError(
            f"migration {name}: its first line is not `-- oldest compatible: NNNN`, "
            "the schema level of the oldest code that works once it is applied"
        )
    oldest = int(declared[1])
    if oldest > level:
        raise RuntimeError(f"migration {name}: not even its own code is compatible with it")
    if rest and rest[0].strip() == _LONG:
        return Migration(name, sql, level, oldest, tuple(_long_statements(name, rest[1:])))
    if _CONCURRENTLY.search(_COMMENT.sub("", sql)):
        raise RuntimeError(f"migration {name}: CONCURRENTLY needs `{_LONG}` as its second line")
    return Migration(name, sql, level, oldest)


def _long_statements(name: str, lines: Sequence[str]) -> Iterator[LongStatement]:
    before, *parts = _STATEMENT.split("\n".join(lines))
    if not parts or _COMMENT.sub("", before).strip():
        raise RuntimeError(f"migration {name}: each of its statements needs a name, `-- name --`")
    if len(set(parts[::3])) < len(parts[::3]):
        raise RuntimeError(f"migration {name}: two of its statements have one name")
    for label, until_none, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        sql = text.strip().rstrip(";")
        bare = _COMMENT.sub("", sql)
        index = _INDEX.match(bare)
        found = LongStatement(label, sql, until_none is not None, index[1] if index else None)
        if _MAKES_INDEX.match(bare) and index is None:
            raise RuntimeError(
                f"migration {name}, {label}: an index is made by "
                "`create index concurrently if not exists NAME on …`"
            )
        if found.concurrent and found.until_none:
            raise RuntimeError(f"migration {name}, {label}: CONCURRENTLY changes no rows")
        yield found


@cache
def migrations() -> tuple[Migration, ...]:
    """Return all migrations of this code in their order."""
    folder = resources.files(__package__).joinpath("migrations")
    own = [
        read_migration(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    ]
    found = [*own, read_migration(PGMQ_MIGRATION, _pgmq_sql())]
    return tuple(sorted(found, key=lambda step: step.name))


def _pgmq_sql() -> str:
    # The package is located, not imported: importing it would load a second database driver.
    spec = find_spec("pgmq")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package pgmq is not installed")
    root = Path(spec.submodule_search_locations[0])
    return (root / "sql" / "pgmq.sql").read_text(encoding="utf-8")
