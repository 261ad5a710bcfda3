"""Health is told while request heads without a bound come in, and memory does not grow."""

from __future__ import annotations

import asyncio
import re
import signal
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.support.cli_process import PATIENCE_S, Cli

pytestmark = [pytest.mark.prove, pytest.mark.integration]

HEALTH_S = 1.0
"""Within which a balancer hears of health, as the median of a row of checks."""
CHECKS = 20
ATTACKERS = 40
HELD = 200
CHUNK = b"x: " + b"a" * 8000 + b"\r\n"
GROWTH_MIB = 64
START = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"


@dataclass(frozen=True)
class Server:
    """A server process of its own, so that its attackers do not share its event loop."""

    host: str
    port: int
    pid: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)

    def memory_mib(self) -> float:
        """The most it ever had in memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024


@asynccontextmanager
async def serving(cli: Cli) -> AsyncIterator[Server]:
    process = await cli.start("api", "--port", "0")
    assert process.stderr is not None
    try:
        line = (await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)).decode()
        found = re.search(r"The API is at http://([^:/]+):(\d+)/api/v1", line)
        assert found, line
        yield Server(found[1], int(found[2]), process.pid)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), PATIENCE_S)


async def without_end(server: Server, start: bytes, more: bytes) -> None:
    """Send a head until the server cuts it, again and again."""
    while True:
        with suppress(OSError):
            _, writer = await server.connect()
            try:
                writer.write(start)
                while not writer.is_closing():
                    writer.write(more)
                    await writer.drain()
                    # Others of this process get a turn, too, where nothing is waited for.
                    await asyncio.sleep(0)
            finally:
                writer.close()
        await asyncio.sleep(0)


async def headers(server: Server) -> None:
    await without_end(server, START, CHUNK)


async def request_line(server: Server) -> None:
    await without_end(server, b"GET /", b"a" * 64_000)


async def tiny_parts(server: Server) -> None:
    await without_end(server, START + b"x: ", b"a")


async def half_requests(server: Server) -> None:
    """Hold connections with half a request each, new ones for those that are cut."""
    while True:
        async with AsyncExitStack() as stack:
            for _ in range(HELD // ATTACKERS):
                with suppress(OSError):
                    reader, writer = await server.connect()
                    stack.callback(writer.close)
                    writer.write(START)
            await reader.read()


ATTACKS: dict[str, Callable[[Server], Awaitable[None]]] = {
    "headers": headers,
    "request line": request_line,
    "tiny parts": tiny_parts,
    "half requests": half_requests,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_g8_health_is_told_within_a_second_under_attacks_on_request_heads(
    cli: Cli, attack: Callable[[Server], Awaitable[None]]
) -> None:
    async with serving(cli) as server:
        before = server.memory_mib()
        attacks = [asyncio.ensure_future(attack(server)) for _ in range(ATTACKERS)]
        taken = []
        try:
            async with aiohttp.ClientSession() as session:
                for _ in range(CHECKS):
                    # The attack is under way when it is measured.
                    await asyncio.sleep(0.05)
                    begun = time.perf_counter()
                    url = f"http://{server.host}:{server.port}/healthz"
                    async with session.get(url, timeout=aiohttp.ClientTimeout(PATIENCE_S)) as reply:
                        assert reply.status == 200
                    taken.append(time.perf_counter() - begun)
        finally:
            for task in attacks:
                task.cancel()
            await asyncio.gather(*attacks, return_exceptions=True)
        assert statistics.median(taken) < HEALTH_S, f"slowest {max(taken):.2f} s"
        assert server.memory_mib() - before < GROWTH_MIB
