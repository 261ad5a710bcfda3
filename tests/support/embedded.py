"""What the tests of the embedded Postgres share."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import asyncpg

QUICK = {"fsync": "off", "shared_buffers": "32MB"}
"""For tests in which no power fails; SIGKILL takes nothing that the system has been given."""


async def ask(dsn: str, query: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def socket_folder(dsn: str) -> Path:
    return Path(dsn.partition("host=")[2].partition("&")[0])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)
