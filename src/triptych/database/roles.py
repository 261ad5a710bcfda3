"""The role that services connect as, created once by an administrator."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import asyncpg

from triptych.database.session import Database, translated
from triptych.errors import SettingsError

NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
IAM = "rds_iam"
"""The group whose members RDS asks for a token instead of a password."""


def role_of(address: str) -> str:
    """Return the role that an address names.

    Raises:
        SettingsError: it names none, or one that would need quoting.
    """
    name = unquote(urlsplit(address).username or "")
    if not NAME.fullmatch(name):
        raise SettingsError(
            "It names no role of lower-case letters, digits and _.",
            field="TRIPTYCH_DATABASE_URL",
            remedy="Write postgresql+iam://ROLE@HOST/DATABASE….",
        )
    return name


async def prepare_role(admin: Database, role: str) -> None:
    """Create ``role`` and grant it what migrations need. Safe to repeat.

    On RDS it connects by IAM token. It owns what it creates; the database's owner does not change.

    Raises:
        DatabaseUnavailable: the database does not answer.
        SettingsError: the administrator lacks the rights.
    """
    with translated():
        connection = await admin.connect()
        try:
            async with connection.transaction():
                await _prepare(connection, role)
        except asyncpg.InsufficientPrivilegeError as error:
            raise SettingsError(
                f"The role {role} cannot be created ({error}).",
                field="TRIPTYCH_ADMIN_URL",
                remedy="Name the administrator that created the database.",
            ) from error
        finally:
            await connection.close()


async def check_rights(database: Database) -> str:
    """Return the role of the database's connections, which reaches no further than its schema.

    Raises:
        SettingsError: it does; says how, and the remedy.
    """
    (row,) = await database.rows("rights_beyond")
    if row["rights"]:
        raise SettingsError(
            f"The role {row['role']} {', '.join(row['rights'])}: a statement that is brought into "
            "the database could use that.",
            field="TRIPTYCH_DATABASE_URL",
            remedy="Name a role that only owns its schema: `triptych migrate` makes it, with an "
            "administrator's address in TRIPTYCH_ADMIN_URL.",
        )
    return str(row["role"])


async def _prepare(connection: asyncpg.Connection, role: str) -> None:
    # Only administrators may create it; the migrations then find it.
    await connection.execute("create extension if not exists vector")
    known = {
        row["rolname"]
        for row in await connection.fetch(
            "select rolname from pg_roles where rolname = any($1)", [role, IAM]
        )
    }
    if role not in known:
        await connection.execute(f"create role {role} login")
    if IAM in known:
        await connection.execute(f"grant {IAM} to {role}")
    database = await connection.fetchval("select quote_ident(current_database())")
    await connection.execute(f"grant connect, create, temporary on database {database} to {role}")
    await connection.execute(f"grant usage, create on schema public to {role}")
