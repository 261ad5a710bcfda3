"""What the tests of the embedded Postgres share."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg

QUICK = {"fsync": "off", "shared_buffers": "32MB"}
"""For tests in which no power fails; SIGKILL takes nothing that the system has been given."""

DEADLINE_S = 60.0


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


OWNER = """
import asyncio, json, sys
from pathlib import Path
from triptych.embedded.server import EmbeddedPostgres
from triptych.embedded.data_folder import DataFolder
async def main():
    data = Path(sys.argv[1])
    with DataFolder(data).lock():
        async with EmbeddedPostgres(data, extra=json.loads(sys.argv[2])) as server:
            print(server.pid, flush=True)
            await asyncio.Event().wait()
asyncio.run(main())
"""


@contextmanager
def owner(data: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the server, and may be killed; it prints the postmaster's pid."""
    command = [sys.executable, "-c", OWNER, str(data), json.dumps(QUICK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def ask_again(dsn: str, query: str) -> Any:
    """Ask until the server answers, as every client does while it is restarted."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await ask(dsn, query)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.05)


def alive(pid: int) -> bool:
    """True while the process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def children(pid: int) -> dict[int, str]:
    """Return the processes that a process has started, with their titles. Linux only."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # It has just ended.
            if int(entry.read_text().rpartition(")")[2].split()[1]) == pid:
                title = entry.with_name("cmdline").read_text().replace("\0", " ")
                found[int(entry.parent.name)] = title.strip()
    return found
