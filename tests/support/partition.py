"""A TCP proxy that can part two sides: it stalls, or cuts and refuses; then it heals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK = 65_536


class Partition:
    """Forwards bytes to one place while it is whole."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.port = 0
        self._whole = asyncio.Event()
        self._whole.set()
        self._refusing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def stall(self) -> None:
        """Take bytes, and hand none on: neither side is told anything."""
        self._whole.clear()

    def cut(self) -> None:
        """Reset all connections, and each new one."""
        self._refusing = True
        for writer in list(self._writers):
            writer.transport.abort()

    def heal(self) -> None:
        """Be whole again."""
        self._refusing = False
        self._whole.set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        with suppress(OSError, asyncio.CancelledError):
            if not self._refusing:
                up_reader, up_writer = await asyncio.open_connection(*self._target)
                self._writers.add(up_writer)
                await asyncio.gather(self._pump(reader, up_writer), self._pump(up_reader, writer))
                self._writers.discard(up_writer)
        writer.transport.abort()
        self._writers.discard(writer)
        self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                await self._whole.wait()
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()

    async def end(self) -> None:
        self.heal()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def open_partition(host: str, port: int) -> AsyncIterator[Partition]:
    made = Partition(host, port)
    server = await asyncio.start_server(made.handle, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()
