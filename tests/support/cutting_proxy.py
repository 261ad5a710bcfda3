"""A TCP proxy between clients and servers that cuts every connection when told to."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK = 65_536


class CuttingProxy:
    """Forwards bytes to the backends in turn, skipping those that are gone."""

    def __init__(self, backends: list[int]) -> None:
        self.backends = backends
        self.port = 0
        self.cuts = 0
        self._turn = itertools.count()
        self._writers: set[asyncio.StreamWriter] = set()
        self._heard = asyncio.Event()

    async def cut(self) -> None:
        """Wait until a server has said something to a connected client, then cut it off."""
        self._heard.clear()
        await self._heard.wait()
        self.cuts += 1
        for writer in list(self._writers):
            writer.transport.abort()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        backend = self.backends[next(self._turn) % len(self.backends)]
        self._writers.add(writer)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", backend)
        except OSError:
            self._writers.discard(writer)
            writer.transport.abort()
            return
        self._writers.add(up_writer)
        try:
            await asyncio.gather(
                self._pump(reader, up_writer, down=False), self._pump(up_reader, writer, down=True)
            )
        finally:
            for each in (writer, up_writer):
                self._writers.discard(each)
                each.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, down: bool
    ) -> None:
        try:
            while chunk := await reader.read(CHUNK):
                writer.write(chunk)
                await writer.drain()
                # The handshake's answer does not count.
                if down and not chunk.startswith(b"HTTP/"):
                    self._heard.set()
        except OSError:
            pass
        writer.transport.abort()


@asynccontextmanager
async def open_proxy(backends: list[int]) -> AsyncIterator[CuttingProxy]:
    proxy = CuttingProxy(backends)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for writer in list(proxy._writers):
            writer.transport.abort()
        await server.wait_closed()
