"""The web that a trial's brands live on: a catalogue and hosts of pictures that fail as seeded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from tests.support.chaos.brands import Brand, Fault
from tests.support.hostile_server import LIFE_S, OK, resets, says, until_hung_up, with_length

HOSTS = 3
"""Hosts of pictures. The last host besides is the catalogue."""
PAGE_ITEMS = 20
EPISODE_S = 0.5
"""An item fails from its first request on for so long: copies of its message that are in flight
together all meet the fault, and one that is tried again later does not."""
ANSWER_S = 0.08
"""Seconds that a picture takes, so that a run is not over before something happens to it."""
SLOW_PARTS = 10
SLOW_S = 1.5
BUSY = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)
FAULTY_PAGES_EVERY = 4
"""So many pages of the catalogue have one among them that fails at the first request."""


def _status(line: str) -> bytes:
    return f"HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


PAGE_FAULTS = 4
"""Kinds of faulty pages; the last one is a 404."""
NOT_FOUND, SERVER_ERROR = _status("404 Not Found"), _status("500 Internal Server Error")


class Host:
    """A listening address of loopback that can be taken down and be sick."""

    def __init__(self, address: str, answer: Answer) -> None:
        self._address = address
        self._answer = answer
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._sick = 0

    @property
    def base(self) -> str:
        return f"http://{self._address}:{self._port}"

    async def open(self) -> None:
        """Listen, at the same port as before."""
        self._server = await asyncio.start_server(self._serve, self._address, self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse connections, and reset those that are open."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def down(self, seconds: float) -> None:
        await self.close()
        try:
            await asyncio.sleep(seconds)
        finally:
            await self.open()

    async def sick(self, seconds: float) -> None:
        """Answer everything but robots.txt with 500."""
        self._sick += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._sick -= 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            async with asyncio.timeout(LIFE_S):
                request = await reader.readuntil(b"\r\n\r\n")
                path = request.split(b" ")[1].decode()
                await until_hung_up(self._answered(writer, path), reader)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # The client has hung up, or was frozen.
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answered(self, writer: asyncio.StreamWriter, path: str) -> None:
        if path == "/robots.txt":
            await says(NOT_FOUND)(writer, path)
        elif self._sick:
            await says(SERVER_ERROR)(writer, path)
        else:
            await self._answer.to(writer, path)


class Answer:
    """Answers requests: what a path has depends on its brand's newest revision."""

    def __init__(self, brands: Sequence[Brand]) -> None:
        self.brands = {brand.name: brand for brand in brands}
        self.revisions = {brand.name: 0 for brand in brands}
        self.hosts: list[Host] = []
        self.faults = 0
        self.pictures = 0
        self._began: dict[tuple[str, int, int], float] = {}
        self._pages: set[str] = set()

    async def to(self, writer: asyncio.StreamWriter, path: str) -> None:
        parts = urlsplit(path)
        if parts.path == "/catalog":
            await self._page(writer, path, parse_qs(parts.query))
            return
        name, number = parts.path.strip("/").removesuffix(".png").split("/")
        await self._picture(writer, self.brands[name], int(number))

    async def _page(
        self, writer: asyncio.StreamWriter, path: str, query: dict[str, list[str]]
    ) -> None:
        brand = self.brands[query["brand"][0]]
        revision = int(query.get("revision", [str(self.revisions[brand.name])])[0])
        start = int(query.get("cursor", ["0"])[0])
        numbers = brand.numbers(revision)
        rows = [
            {"url": self.url(brand, number), "metadata": {"number": number}}
            for number in numbers[start : start + PAGE_ITEMS]
        ]
        end = start + PAGE_ITEMS
        body = json.dumps({"items": rows, "next": str(end) if end < len(numbers) else None})
        page = (revision + start // PAGE_ITEMS) % FAULTY_PAGES_EVERY == 1
        if page and path not in self._pages:
            self._pages.add(path)
            self.faults += 1
            # What the first page answers is believed: a 404 is a brand that is not known.
            kinds = PAGE_FAULTS if start else PAGE_FAULTS - 1
            await self._faulty_page(writer, path, body.encode(), len(self._pages) % kinds)
            return
        head = with_length(body.encode(), len(body), b"application/json")
        await says(head)(writer, path)

    async def _faulty_page(
        self, writer: asyncio.StreamWriter, path: str, body: bytes, how: int
    ) -> None:
        half = body[: len(body) // 2]
        ways = (
            says(SERVER_ERROR),
            resets(with_length(half, len(body), b"application/json")),
            says(with_length(half, len(half), b"application/json")),
            says(NOT_FOUND),
        )
        await ways[how](writer, path)

    async def _picture(self, writer: asyncio.StreamWriter, brand: Brand, number: int) -> None:
        await asyncio.sleep(ANSWER_S)
        if brand.is_missing(number):
            await says(NOT_FOUND)(writer, "")
            return
        revision = self.revisions[brand.name]
        body = brand.picture(number, revision)
        fault = brand.fault(number, revision)
        if fault is not None and self._fails_now((brand.name, number, revision)):
            self.faults += 1
            await _fail(writer, fault, body)
            return
        self.pictures += 1
        await says(with_length(body, len(body)))(writer, "")

    def _fails_now(self, item: tuple[str, int, int]) -> bool:
        now = asyncio.get_running_loop().time()
        return now - self._began.setdefault(item, now) < EPISODE_S

    # --- what a trial needs to know ----------------------------------------------------------

    @property
    def catalog(self) -> str:
        """Return the catalogue as a source without a revision."""
        return f"catalog:{self.hosts[-1].base}/catalog"

    def source(self, revision: int) -> str:
        return f"{self.catalog}?revision={revision}"

    def url(self, brand: Brand, number: int) -> str:
        return f"{self.hosts[number % HOSTS].base}/{brand.name}/{number}.png"

    def expected(self, brand: Brand, revision: int) -> dict[str, bytes | None]:
        """Return each URL of a revision with the SHA-256 of its asset, or None if it has none."""
        numbers = brand.numbers(revision)
        return {self.url(brand, n): brand.expected(n, revision) for n in numbers}

    def may_fail(self, brand: Brand, revision: int) -> set[str]:
        numbers = brand.numbers(revision)
        return {self.url(brand, n) for n in numbers if brand.may_fail(n, revision)}


async def _fail(writer: asyncio.StreamWriter, fault: Fault, body: bytes) -> None:
    whole = with_length(body, len(body))
    head = OK + b"Content-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(body)
    if fault is Fault.SLOW:
        await says(head)(writer, "")
        size = len(body) // SLOW_PARTS + 1
        for start in range(0, len(body), size):
            await asyncio.sleep(SLOW_S / SLOW_PARTS)
            await says(body[start : start + size])(writer, "")
        return
    ways = {
        Fault.SERVER_ERROR: says(SERVER_ERROR),
        Fault.BUSY: says(BUSY),
        Fault.RESET: resets(),
        Fault.RESET_IN_BODY: resets(head + body[: len(body) // 2]),
        Fault.CUT: says(whole[: -len(body) // 2]),
        Fault.GONE_AT_FIRST: says(NOT_FOUND),
    }
    await ways[fault](writer, "")


@asynccontextmanager
async def open_origin(brands: Sequence[Brand]) -> AsyncIterator[Answer]:
    """Serve on addresses of loopback; each host has its own, at a port that the system chooses."""
    answer = Answer(brands)
    async with AsyncExitStack() as stack:
        for number in range(HOSTS + 1):
            host = Host(f"127.0.3.{number + 1}", answer)
            await host.open()
            stack.push_async_callback(host.close)
            answer.hosts.append(host)
        yield answer
