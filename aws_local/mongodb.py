"""MongoDB as DocumentDB is reached: SecantusDB, which speaks its wire protocol, on loopback.

Its licence is the GPL, so it has an environment of its own, `.venv-mongodb`, and nothing of ours
imports it. What it cannot prove of DocumentDB is in docs/guides/aws.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aws_local.child_server import HOST, ChildServer, taken
from aws_local.guard import ROOT, Guard

PROGRAM = ROOT / ".venv-mongodb" / "bin" / "secantusd-py"
DATABASE = "triptych"


class LocalMongo(ChildServer):
    """The server. Its data are in its folder, and outlive it there."""

    name = "MongoDB"

    @property
    def url(self) -> str:
        """Return its address, for ``TRIPTYCH_READS_URL``."""
        # As on AWS: an answer is of several reads, and DocumentDB has no retried writes.
        return f"mongodb://{HOST}:{self.port}/{DATABASE}?readPreference=primary&retryWrites=false"

    def command(self) -> Sequence[str]:
        """Return its program, and where it listens and stores."""
        place = ("--host", HOST, "--port", str(self.port))
        return [str(PROGRAM), *place, "--storage-path", str(self.folder / "data")]

    def answers(self) -> bool:
        """Connect to it: its port is open when it serves."""
        return taken(self.port)


@asynccontextmanager
async def mongodb_server(folder: Path, guard: Guard | None = None) -> AsyncIterator[str]:
    """Yield the address of a server whose data are in a folder; end it afterwards."""
    server = LocalMongo(folder, guard=guard)
    await asyncio.to_thread(server.start)
    try:
        yield server.url
    finally:
        await asyncio.to_thread(server.stop)
