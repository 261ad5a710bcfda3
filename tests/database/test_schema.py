"""Which schemas a code serves on: those that say so, and the previous release's."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from triptych.database import previous_release
from triptych.database.migrate import migrate
from triptych.database.migration import migrations
from triptych.database.schema import check_schema, code_level, read_schema
from triptych.database.session import Database
from triptych.errors import DatabaseUnavailable, SchemaBehind

AHEAD = "insert into compatible_migrations (name, oldest, applied_at) values ('9000_ahead', $1, $2)"


@pytest.fixture
async def database(migrated_dsn: str) -> AsyncIterator[Database]:
    found = Database(migrated_dsn)
    yield found
    await found.close()


async def newer(database: Database, *, oldest: int, applied: bool = True) -> None:
    async with database.connection() as connection:
        at = await connection.fetchval("select now()") if applied else None
        await connection.execute(AHEAD, oldest, at)


async def test_a_newer_schema_that_serves_this_code_is_served_on(database: Database) -> None:
    await newer(database, oldest=code_level())
    schema = await check_schema(database)
    assert (schema.level, schema.oldest, schema.missing) == (9000, code_level(), ())
    assert schema.shown() == f"schema level 9000, oldest compatible code {code_level():04}"
    assert await migrate(database) == [], "code that is started again after a rollback"


@pytest.mark.parametrize("applied", [True, False])
async def test_a_newer_schema_that_does_not_is_refused(database: Database, applied: bool) -> None:
    await newer(database, oldest=code_level() + 1, applied=applied)
    for refused in (check_schema, migrate):
        with pytest.raises(DatabaseUnavailable) as told:
            await refused(database)
        assert "9000_ahead needs code of schema level" in str(told.value)
        assert f"this has {code_level():04}. Upgrade Triptych." in str(told.value)


async def test_the_previous_releases_schema_is_served_on(fresh_dsn: str) -> None:
    known = [step for step in migrations() if step.level <= previous_release.LEVEL]
    later = [step.name for step in migrations() if step.level > previous_release.LEVEL]
    database = Database(fresh_dsn)
    try:
        await migrate(database, steps=known)
        schema = await check_schema(database)
        assert schema.level == previous_release.LEVEL
        assert [step.name for step in schema.missing] == later
        assert schema.shown().endswith(f"applied by `triptych migrate`: {', '.join(later)}")
        with pytest.raises(SchemaBehind, match=r"compatible_migrations.*triptych migrate"):
            await database.fetch("select * from compatible_migrations")
        assert sorted(await migrate(database)) == later
        assert (await check_schema(database)).missing == ()
    finally:
        await database.close()


async def test_a_schema_from_before_the_previous_release_is_refused(database: Database) -> None:
    (last,) = [step.name for step in migrations() if step.level == previous_release.LEVEL]
    await database.fetch(f"delete from schema_migrations where name = '{last}'")
    with pytest.raises(DatabaseUnavailable, match=rf"lacks {last}\. Run `triptych migrate`"):
        await check_schema(database)


async def test_a_migration_that_declares_nothing_serves_its_own_code_alone(
    database: Database,
) -> None:
    await database.fetch("insert into schema_migrations values ('9999_future')")
    with pytest.raises(DatabaseUnavailable, match=r"too new .*9999_future.*Upgrade Triptych"):
        await check_schema(database)


async def test_an_older_codes_view_of_a_schema(database: Database) -> None:
    older = [step for step in migrations() if step.level <= previous_release.LEVEL]
    schema = await read_schema(database, older)
    schema.check()
    assert schema.level == code_level()
