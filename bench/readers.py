"""HTTP clients as light as can be: one connection each, the next request after the last answer.

httptools reads the answers. An aiohttp client takes six times the processor time (61 µs for 20 kB
against 9), which is not the servers' and would bring every ratio of theirs closer to one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import cast

import httptools

from bench.program import HOST

PATIENCE_S = 120.0
SEED = 1


class Reader(asyncio.Protocol):
    """Asks for paths one after the other, and notes how long each answer took."""

    _transport: asyncio.WriteTransport

    def __init__(self, paths: Iterator[str]) -> None:
        self._paths = paths
        self._parser = httptools.HttpResponseParser(self)
        self._begun = 0.0
        self.seconds: list[float] = []
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note it if it was not expected."""
        if not self.over.done():
            self.over.set_exception(exc or ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Ask for the next: an answer is whole."""
        self.seconds.append(time.perf_counter() - self._begun)
        if (status := self._parser.get_status_code()) == 200:
            self._ask()
        else:
            self.over.set_exception(AssertionError(f"answered {status}"))

    def _ask(self) -> None:
        path = next(self._paths, None)
        if path is None:
            self.over.set_result(None)
            self._transport.close()
            return
        self._begun = time.perf_counter()
        self._transport.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())


async def read(port: int, paths: Sequence[str], clients: int, each: int) -> list[float]:
    """Let clients ask for paths by chance, each for so many; return how long each answer took."""
    loop = asyncio.get_running_loop()
    chance = random.Random(SEED)
    wanted = [iter(chance.choices(paths, k=each)) for _ in range(clients)]
    readers = [
        (await loop.create_connection(partial(Reader, few), HOST, port))[1] for few in wanted
    ]
    await asyncio.wait_for(asyncio.gather(*(reader.over for reader in readers)), PATIENCE_S)
    return [seconds for reader in readers for seconds in reader.seconds]
