"""The cluster's two roles: the application's, which owns its database, and the superuser.

The application connects as `ROLE`, which is no superuser: it cannot read the server's files, run
its programs, or make roles and databases. `ADMIN` is the superuser that initdb made. It cannot log
in, and no rule of ``pg_hba.conf`` names it: it acts in single-user mode alone, while no server runs
(ADR 34).
"""

from __future__ import annotations

from importlib import resources

import structlog

from triptych.embedded.cluster import ADMIN, ROLE
from triptych.embedded.single_user import SingleUser

MARK = "triptych_roles"
"""The file in the cluster's folder that says which `VERSION` of its roles was set."""
VERSION = "1"
"""Raise it with each change of ``roles.sql``: the next start of each cluster applies it."""
FIRST_DATABASE = "postgres"
"""The one that initdb makes."""
KNOWN = (
    "select rolname as superuser from pg_authid where oid = 10",
    "select datname from pg_database",
)

_logger = structlog.get_logger(__name__)


def ensure_roles(superuser: SingleUser) -> None:
    """Make the database and both roles, and give the application's what is its own. Blocks.

    No change if it was done before. Clusters of earlier releases, in which the application was the
    superuser, are moved over: in one transaction, so that one which is killed at any point is moved
    by the next start. No server may run on the cluster.

    Raises:
        PostgresServerError: it cannot be done; the cluster is as it was.
    """
    cluster = superuser.cluster
    if cluster.read(MARK).strip() == VERSION:
        return
    # Rows are printed as `name = "value"`, unlike the statement.
    known = superuser.run(FIRST_DATABASE, KNOWN)
    if f'datname = "{ROLE}"' not in known:
        superuser.run(FIRST_DATABASE, [f"create database {ROLE}"])
    superuser.run(ROLE, [_statement()])
    cluster.write(MARK, f"{VERSION}\n", sync=True)
    if f'superuser = "{ROLE}"' in known:
        _logger.warning("postgres_superuser_taken_away", folder=str(cluster.folder), role=ROLE)


def _statement() -> str:
    text = resources.files(__package__).joinpath("roles.sql").read_text(encoding="utf-8")
    # In single-user mode an empty line after a semicolon would end the statement.
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("--")]
    return "\n".join(lines).replace("{ROLE}", ROLE).replace("{ADMIN}", ADMIN)
