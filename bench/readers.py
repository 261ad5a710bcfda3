"""HTTP clients as light as can be: one connection each, the next request after the last answer."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import cast

LENGTH = b"content-length: "
PATIENCE_S = 120.0


class Reader(asyncio.Protocol):
    """Asks for paths one after the other, and notes how long each answer took."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = iter(paths)
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._whole = 0
        self._begun = 0.0
        self.seconds: list[float] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first."""
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note it if it was not expected."""
        if not self.over.done():
            self.over.set_exception(exc or ConnectionResetError())

    def _ask(self) -> None:
        path = next(self._paths, None)
        assert self._transport is not None
        if path is None:
            self.over.set_result(None)
            self._transport.close()
            return
        self._buffer.clear()
        self._whole = 0
        self._begun = time.perf_counter()
        self._transport.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._buffer += data
        if not self._whole:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            if b" 200 " not in head:
                self.over.set_exception(AssertionError(bytes(self._buffer[:500])))
                return
            self._whole = end + 4 + int(head.split(LENGTH, 1)[1].split(b"\r\n", 1)[0])
        if len(self._buffer) >= self._whole:
            self.seconds.append(time.perf_counter() - self._begun)
            self._ask()


async def read(port: int, paths: Sequence[str], clients: int, each: int) -> list[float]:
    """Let clients ask for paths by chance, each for so many; return how long each answer took."""
    loop = asyncio.get_running_loop()
    chance = random.Random(1)
    readers = []
    for _ in range(clients):
        wanted = chance.choices(paths, k=each)
        _, reader = await loop.create_connection(
            lambda wanted=wanted: Reader(wanted), "127.0.0.1", port
        )
        readers.append(reader)
    await asyncio.wait_for(asyncio.gather(*(reader.over for reader in readers)), PATIENCE_S)
    return [seconds for reader in readers for seconds in reader.seconds]
