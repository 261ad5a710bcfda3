"""An administrator makes the role that services connect as; the migrations run as that role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from tests.support.postgres import superuser_at
from triptych.database.migration import migrations
from triptych.database.roles import IAM, prepare_role, role_of
from triptych.database.session import Database
from triptych.errors import SettingsError


@pytest.fixture
async def admin(fresh_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(superuser_at(fresh_dsn))
    yield connection
    await connection.close()


@pytest.fixture
async def role(admin: asyncpg.Connection) -> AsyncIterator[str]:
    name = f"app_{uuid4().hex}"
    await admin.execute(f"create role {IAM}")
    yield name
    await admin.execute(f"drop owned by {name} cascade; drop role {name}; drop role {IAM}")


async def test_the_role_can_migrate_and_nothing_beyond(
    fresh_dsn: str, admin: asyncpg.Connection, role: str
) -> None:
    database = Database(superuser_at(fresh_dsn))
    await prepare_role(database, role)
    await prepare_role(database, role)
    await database.close()
    assert await admin.fetchval(f"select pg_has_role('{role}', '{IAM}', 'member')")
    assert not await admin.fetchval("select rolsuper from pg_roles where rolname = $1", role)
    await admin.execute(f"set role {role}")
    for step in migrations():
        for part in step.statements or (step,):
            await admin.execute(part.sql)
    owner = await admin.fetchval("select tableowner from pg_tables where tablename = 'runs'")
    for beyond in (
        "copy (select 1) to program 'id'",
        "select pg_read_file('/etc/passwd')",
        "create role another",
        "create database another",
        "alter database template1 rename to mine",
        "drop extension vector",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await admin.execute(beyond)
    await admin.execute("reset role")
    assert owner == role
    database_owner = "select datdba::regrole::text from pg_database where datname = $1"
    assert await admin.fetchval(database_owner, admin._params.database) != role


def test_the_role_is_the_addresses_user() -> None:
    assert role_of("postgresql+iam://triptych@h:5432/d?sslmode=verify-full") == "triptych"
    for wrong in ("postgresql://h/d", "postgresql://A@h/d", "postgresql://a%22b@h/d"):
        with pytest.raises(SettingsError, match="TRIPTYCH_DATABASE_URL"):
            role_of(wrong)
