"""Reading lists in child processes: what a list could take over has nothing within reach.

Lists are untrusted bytes, and some of their readers are written in C and Rust; all of them can be
made to take much memory or time. A list parser is a child process in a sandbox
(`triptych.runtime.sandbox`), one for each list, with a limit on its memory and its CPU time and
none of this process's environment. It is given descriptors of the files, or bodies of answers, and
returns pages of records. It reads ahead as far as the socket between them holds.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

import msgspec
import structlog

from triptych.errors import SourceRefused, SourceUnavailable
from triptych.gather.lists.bounds import ITEMS_MAX, MIB
from triptych.gather.lists.exchange import (
    BODY,
    FRAME_MAX_BYTES,
    HEAD,
    DocumentHead,
    Kind,
    ListPage,
    ListRecord,
    Refusal,
    Request,
    read_records,
)
from triptych.runtime.sandbox import sandbox_environment, start_sandboxed

MEMORY_MAX_BYTES = 1536 * MIB
"""Address space of a parser, of which Python and Arrow take a quarter. A workbook of Excel's most
rows with six columns fits."""
STEP_CPU_S = 60
"""CPU time for which a parser may go without reading on or sending a page."""
START_S = 60.0
"""Seconds in which a parser starts; it takes half of one."""
PAGE_S = 3600.0
"""Seconds in which a page comes: the first one of a list of 16 GiB, read from its middle, takes
some minutes."""
PARSED_MAX_BYTES = 256 * MIB
"""Of the records of one page of a catalogue, whose body has at most 32 MiB; escapes take more."""
END_S = 5.0
BUFFER_BYTES = MIB
"""Socket buffer: what a parser reads ahead, besides the page that it is writing."""
MODULE = "triptych.gather.lists.list_parser"
ALLOCATOR = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
"""Arrow's own allocator reserves a gigabyte of addresses that it may never use."""

log = structlog.get_logger(__name__)


class PageDoubted(SourceRefused):
    """A page of a catalogue cannot be right, but may be another next time."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message, remedy=refusal.remedy)
        self.at_once = refusal.at_once
        """See `DoubtfulAnswer`."""


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """A page of a service or a site, read."""

    records: Sequence[ListRecord]
    cursor: str | None
    """Where its list goes on."""
    links: Sequence[str]
    """Where a web page leads."""
    is_index: bool
    """Whether the records of a sitemap are further sitemaps."""


@dataclass(frozen=True, slots=True)
class ListPart:
    """A file of a list."""

    name: str
    open: Callable[[], BinaryIO]
    """Opens it from its beginning; may raise `OSError`. Called several times, in a thread."""


def parser_environment() -> dict[str, str]:
    """Return a list parser's environment variables."""
    return {**sandbox_environment(), **ALLOCATOR}


async def sandbox_lacks() -> tuple[str, ...]:
    """Return what list parsers' sandbox lacks on this machine, in words.

    Raises:
        SourceUnavailable: list parsers do not start here.
    """
    async with list_parser() as parser:
        return parser.missing


@asynccontextmanager
async def list_parser() -> AsyncIterator[ListParser]:
    """Yield a parser that has started; it is ended afterwards, whatever it does.

    Raises:
        SourceUnavailable: list parsers do not start here, which no list is to blame for.
    """
    parser = ListParser()
    try:
        await parser.greet()
        yield parser
    finally:
        await asyncio.shield(asyncio.to_thread(parser.end))


class ListParser:
    """One parser process and its socket. After an error it can no longer be used."""

    def __init__(self) -> None:
        """Start the process."""
        self.missing: tuple[str, ...] = ()
        """What its sandbox lacks, in words."""
        self._records = self._received = 0
        """How many there were, and bytes of frames."""
        self._memory_max_bytes = MEMORY_MAX_BYTES
        self._step_cpu_s = STEP_CPU_S
        self._parts: Sequence[ListPart] = ()
        self._reading = ""
        """The part that it reads, and a colon."""
        self._code: int | None = None
        self._line, theirs = socket.socketpair()
        with theirs:
            for end in (self._line, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            self._process = start_sandboxed(MODULE, theirs, parser_environment())
        self._line.setblocking(False)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def greet(self) -> None:
        """Wait until it has started; see `list_parser`."""
        try:
            async with asyncio.timeout(START_S):
                kind, content = await self._frame()
            if kind is not Kind.GREETING:
                raise ValueError(f"{kind.name} comes first")
            self.missing = tuple(msgspec.json.decode(content, type=list[str]))
        except (OSError, EOFError, ValueError) as error:
            code = await asyncio.to_thread(self.end)
            raise SourceUnavailable(
                f"List parsers do not start (exit {code}; {type(error).__name__}: {error})."
            ) from error
        _note_sandbox(self.missing)

    async def ask(self, request: Request, parts: Sequence[ListPart] = ()) -> None:
        """Say what is to be read; ``parts`` are those that the request names."""
        self._parts = parts
        self._memory_max_bytes = request.memory_max_bytes
        self._step_cpu_s = request.step_cpu_s
        self._records = request.offset
        await self._send(msgspec.json.encode(request))

    async def pages(self) -> AsyncIterator[tuple[ListPage, Sequence[ListRecord]]]:
        """Yield the pages of a list, each with its records, up to the last one.

        Raises:
            SourceRefused: the list cannot be read, or needs too much for that.
        """
        while True:
            page, records = await self._page()
            yield page, records
            if page.last:
                return

    async def parse(self, body: bytes, head: DocumentHead | None = None) -> ParsedPage:
        """Return what is in a page of a service or a site.

        ``head`` goes before the body of a document; a catalogue's pages have none.

        Raises:
            PageDoubted: the page cannot be right.
            SourceRefused: it needs too much to be read.
        """
        if head is not None:
            await self._send(msgspec.json.encode(head))
        await self._send(body)
        found: list[ListRecord] = []
        received = self._received
        while True:
            page, records = await self._page()
            found += records
            if page.last:
                return ParsedPage(found, page.cursor, page.links, page.is_index)
            if len(found) > ITEMS_MAX or self._received - received > PARSED_MAX_BYTES:
                raise await self._lost(ValueError(f"{len(found)} records of a page"))

    async def _send(self, content: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PAGE_S):
                await loop.sock_sendall(self._line, BODY.pack(len(content)))
                await loop.sock_sendall(self._line, content)
        except OSError as error:
            raise await self._lost(error) from error

    async def _page(self) -> tuple[ListPage, Sequence[ListRecord]]:
        try:
            async with asyncio.timeout(PAGE_S):
                kind, content = await self._frame()
                while kind is Kind.PART:
                    await self._hand_over(int(content))
                    kind, content = await self._frame()
            if kind is Kind.PAGE:
                page = msgspec.json.decode(content, type=ListPage)
                records = read_records(page)
                self._records += len(records)
                return page, records
            refusal = msgspec.json.decode(content, type=Refusal)
        except (OSError, EOFError, ValueError, RecursionError) as error:
            raise await self._lost(error) from error
        if kind is Kind.DOUBTED:
            raise PageDoubted(refusal)
        raise SourceRefused(refusal.message, remedy=refusal.remedy)

    async def _hand_over(self, number: int) -> None:
        """Send a descriptor of a part of the list, which is opened anew."""
        if not 0 <= number < len(self._parts):
            raise ValueError(f"part {number}")
        part = self._parts[number]
        self._reading = f"{part.name}: "
        try:
            file = await asyncio.to_thread(part.open)
        except OSError as error:
            raise SourceRefused(f"{part.name}: It cannot be read ({error}).") from error
        with file:
            socket.send_fds(self._line, [b"."], [file.fileno()])

    async def _frame(self) -> tuple[Kind, bytearray]:
        # What is there already is received without waiting: others must get their turn, too.
        await asyncio.sleep(0)
        number, length = HEAD.unpack(await self._exactly(HEAD.size))
        kind = Kind(number)
        if length > FRAME_MAX_BYTES[kind]:
            raise ValueError(f"{kind.name} of {length} bytes")
        self._received += length
        return kind, await self._exactly(length)

    async def _exactly(self, length: int) -> bytearray:
        loop = asyncio.get_running_loop()
        content = bytearray(length)
        view = memoryview(content)
        while view:
            received = await loop.sock_recv_into(self._line, view)
            if not received:
                raise EOFError("it has ended")
            view = view[received:]
        return content

    async def _lost(self, error: Exception) -> SourceRefused:
        """Return why the list is refused whose parser has ended, is silent or says nonsense."""
        code = await asyncio.to_thread(self.end)
        log.warning("list_parser_lost", exit=code, records=self._records, error=repr(error))
        after = f"after record {self._records}" if self._records else "at its beginning"
        remedy = "Write it as CSV or JSON Lines, with shorter values, or split it."
        if code == -signal.SIGXCPU:
            what = f"takes more than {self._step_cpu_s} s of CPU time {after}"
        elif isinstance(error, TimeoutError):
            what = f"has no next page within {PAGE_S:g} s {after}"
        else:
            limit = self._memory_max_bytes // MIB
            ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
            what = f"needs more than {limit} MiB of memory to be read {after}, or is broken there"
            what += f" (its parser ended with {ended})"
        return SourceRefused(f"{self._reading}The list {what}.", remedy=remedy)

    def end(self) -> int:
        """Kill it if it lives; return its exit code. Blocks; safe to repeat."""
        if self._code is None:
            if self._process.poll() is None:
                # One that has closed its socket is ending by itself, with a code that says why.
                try:
                    self._process.wait(END_S if self._at_end() else 0)
                except subprocess.TimeoutExpired:
                    self._process.kill()
            self._code = self._process.wait(END_S)
            self._line.close()
        return self._code

    def _at_end(self) -> bool:
        """Return whether the other end of the socket is closed and all of it was read."""
        try:
            return not self._line.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True


@cache
def _note_sandbox(missing: tuple[str, ...]) -> None:
    """Log what the sandbox lacks, once."""
    if missing:
        log.warning("sandbox_incomplete", of="list parsers", missing=missing)
