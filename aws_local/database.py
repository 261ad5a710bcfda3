"""Postgres as RDS is reached: over TCP, with a password. The binaries are the embedded ones."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from aws_local.guard import Guard
from triptych.embedded.cluster import ROLE
from triptych.embedded.server import EmbeddedPostgres

PORT = 5432
DATABASE = "triptych"
HBA = f"""local all "{ROLE}" peer map={ROLE}
host all "{ROLE}" 127.0.0.0/8 scram-sha-256
"""


def own_address() -> str:
    """Return an address of loopback that this process alone is likely to use.

    The port is part of the socket's name and so is fixed; the address need not be.
    """
    pid = os.getpid()
    return f"127.77.{pid // 250 % 250 + 1}.{pid % 250 + 1}"


@asynccontextmanager
async def served_database(folder: Path, guard: Guard | None = None) -> AsyncIterator[str]:
    """Yield the address of an empty database, its password in it."""
    folder.mkdir(parents=True, exist_ok=True)
    address, password = own_address(), secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="triptych-hba-") as shared:
        # The server may run as somebody else, who is to read this and nothing beside it.
        Path(shared).chmod(0o755)
        rules = Path(shared) / "pg_hba.conf"
        rules.write_text(HBA)
        rules.chmod(0o644)
        extra = {
            "listen_addresses": address,
            "hba_file": str(rules),
            "fsync": "off",
            "password_encryption": "scram-sha-256",
        }
        async with EmbeddedPostgres(folder, extra=extra) as server:
            if guard is not None and server.pid is not None:
                guard.watch(server.pid, signal.SIGINT)
            connection = await asyncpg.connect(server.dsn)
            # ALTER ROLE takes no parameters; the token is of letters, digits, - and _.
            await connection.execute(f"alter role \"{ROLE}\" password '{password}'")
            await connection.close()
            yield f"postgresql://{ROLE}:{password}@{address}:{PORT}/{DATABASE}"
