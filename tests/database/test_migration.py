"""What migrations say of themselves, and what they may not do while others work."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from triptych.database import previous_release
from triptych.database.migration import STRICT_LEVEL, Migration, migrations, read_migration

NO_RULES = (
    # Integers of 32 bits are chosen where no count can exceed them.
    "prefer-bigint-over-int",
    # `migrate` sets both for every statement.
    "require-lock-timeout",
    "require-statement-timeout",
)
DECLARED = "-- oldest compatible: 0029\n"


def squawk(step: Migration) -> set[str]:
    """Return what a migration does that would hold others up, or break the code before it."""
    command = [
        str(Path(sysconfig.get_path("scripts"), "squawk")),
        "--reporter=json",
        "--pg-version=17",
    ]
    command += [f"--exclude={','.join(NO_RULES)}"]
    command += [] if step.long else ["--assume-in-transaction"]
    ended = subprocess.run(command, input=step.sql, capture_output=True, text=True, check=False)
    assert ended.returncode in {0, 1}, ended.stderr
    return {f"line {found['line']}: {found['rule_name']}" for found in json.loads(ended.stdout)}


LATER = [step for step in migrations() if step.level > STRICT_LEVEL]


@pytest.mark.integration
@pytest.mark.parametrize("step", LATER, ids=lambda step: step.name)
def test_no_migration_holds_others_up_or_takes_away_what_they_use(step: Migration) -> None:
    assert squawk(step) == set()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("create index wide on runs (brand);", "require-concurrent-index-creation"),
        ("alter table runs rename column brand to name;", "renaming-column"),
        ("alter table runs drop column brand;", "ban-drop-column"),
        ("alter table runs add constraint c check (seq > 0);", "constraint-missing-not-valid"),
        ("alter table runs alter column seq type bigint;", "changing-column-type"),
        ("alter table runs alter column seq set not null;", "adding-not-nullable-field"),
    ],
)
def test_what_would_do_so_is_found(sql: str, rule: str) -> None:
    found = squawk(Migration("9000_x", sql, 9000, 29))
    assert any(rule in each for each in found), found


def test_the_release_before_is_served_by_every_migration_since() -> None:
    since = [step for step in migrations() if step.level > previous_release.LEVEL]
    unserved = [step.name for step in since if step.oldest > previous_release.LEVEL]
    assert unserved == []
    assert re.fullmatch(r"[0-9a-f]{40}", previous_release.COMMIT)


def test_the_declaration_is_read() -> None:
    step = read_migration("0031_x", f"{DECLARED}-- Why.\nalter table a add column b int;")
    assert (step.level, step.oldest, step.long) == (31, 29, False)
    assert [step.oldest for step in migrations() if step.level < 4] == [1, 2, 3]


def test_the_statements_of_a_long_migration_are_read() -> None:
    step = read_migration(
        "0031_x",
        f"""{DECLARED}-- long
-- Why.

-- make_index --
-- Of what is searched: concurrently.
create unique index concurrently if not exists a_by_b on a (b);

-- fill until none --
update a set c = 1 where id in (select id from a where c is null limit 1000);
""",
    )
    assert step.long
    index, fill = step.statements
    assert (index.name, index.index, index.concurrent, index.until_none) == (
        *("make_index", "a_by_b", True),
        False,
    )
    assert (fill.name, fill.index, fill.concurrent, fill.until_none) == ("fill", None, False, True)
    assert fill.sql.endswith("limit 1000)")


@pytest.mark.parametrize(
    ("name", "sql", "says"),
    [
        ("31_x", DECLARED, "four digits"),
        ("0031_x", "-- Why.\nselect 1", "oldest compatible: NNNN"),
        ("0031_x", "", "oldest compatible: NNNN"),
        ("0031_x", "-- oldest compatible: 0032\nselect 1", "its own code"),
        ("0031_x", f"{DECLARED}create index concurrently i on t (a)", "-- long"),
        ("0031_x", f"{DECLARED}-- long\nselect 1", "needs a name"),
        ("0031_x", f"{DECLARED}-- long\nselect 1\n-- a --\nselect 2", "needs a name"),
        ("0031_x", f"{DECLARED}-- long\n-- a --\nselect 1\n-- a --\nselect 2", "one name"),
        ("0031_x", f"{DECLARED}-- long\n-- a --\ncreate index i on t (a)", "if not exists"),
        (
            "0031_x",
            f"{DECLARED}-- long\n-- a --\ncreate index concurrently i on t (a)",
            "if not exists",
        ),
        (
            "0031_x",
            f"{DECLARED}-- long\n-- a until none --\ndrop index concurrently i",
            "changes no rows",
        ),
    ],
)
def test_what_a_migration_does_not_say_is_an_error(name: str, sql: str, says: str) -> None:
    with pytest.raises(RuntimeError, match=says):
        read_migration(name, sql)
