"""Clusters as earlier releases made them: the application's role was the superuser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

from tests.support.embedded import QUICK
from triptych.embedded import cluster as cluster_module
from triptych.embedded import server as server_module
from triptych.embedded.cluster import ROLE
from triptych.embedded.server import EmbeddedPostgres
from triptych.embedded.single_user import SingleUser


def only_database(superuser: SingleUser) -> None:
    """All that was made of roles then: initdb's own, named as the database."""
    known = superuser.run("postgres", ["select datname from pg_database"])
    if f'datname = "{ROLE}"' not in known:
        superuser.run("postgres", [f"create database {ROLE}"])


@asynccontextmanager
async def superuser_cluster(data: Path) -> AsyncIterator[EmbeddedPostgres]:
    """Run the server of a data folder as they did."""
    with (
        patch.object(cluster_module, "ADMIN", ROLE),
        patch.object(server_module, "ensure_roles", only_database),
    ):
        async with EmbeddedPostgres(data, extra=QUICK) as server:
            yield server
