"""The list parser process: ``python -m triptych.gather.lists.list_parser``.

See `triptych.gather.lists.list_parsers`.
"""

from __future__ import annotations

import gc
import io
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

import triptych
from triptych.errors import SourceRefused
from triptych.gather.lists.bounds import MIB
from triptych.gather.lists.columns import ColumnChoice
from triptych.gather.lists.exchange import (
    BODY,
    FRAME_MAX_BYTES,
    DocumentHead,
    Kind,
    PageWriter,
    Refusal,
    Request,
    framed,
)
from triptych.gather.lists.part_file import PartFile
from triptych.gather.lists.rows import BrandRows
from triptych.runtime.sandbox import enter_sandbox, limit_cpu, limit_memory

LIFETIME_CPU_S = 4 * 3600
"""CPU time of a parser. It cannot raise this, so one that was taken over ends too; the longest list
that is read takes half an hour."""
GARBAGE_AFTER = 100_000
"""Objects after which garbage is looked for. There is hardly any: a parser makes records, and
forgets them; a large JSON document took most of its time for that."""
BUFFER_BYTES = MIB
MESSAGE_MAX_CHARS = 10_000


def main() -> None:
    """Enter the sandbox, then read one list, or one catalogue's pages, for the socket's other end.

    The socket is standard input.
    """
    missing = enter_parser_sandbox()
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)
    with socket.socket(fileno=sys.stdin.fileno()) as line:
        try:
            _serve(_Line(line), missing)
        except (BrokenPipeError, ConnectionResetError, EOFError):
            return  # Whoever asked has gone, or has read enough.


def enter_parser_sandbox() -> tuple[str, ...]:
    """Confine this process as a list parser; see `enter_sandbox`."""
    return enter_sandbox([Path(triptych.__file__).parent])


class _Line:
    """The parser's end of the socket."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def say(self, kind: Kind, content: bytes) -> None:
        self.send(framed(kind, content))

    def send(self, frame: bytes) -> None:
        self._line.sendall(frame)

    def refuse(self, kind: Kind, refusal: Refusal) -> None:
        message, remedy = (
            None if text is None else text.encode("utf-8", "replace").decode()[:MESSAGE_MAX_CHARS]
            for text in (refusal.message, refusal.remedy)
        )
        told = Refusal(message or "It cannot be read.", remedy, refusal.at_once)
        self.say(kind, msgspec.json.encode(told)[: FRAME_MAX_BYTES[kind]])

    def receive(self) -> bytearray:
        """Return what follows; raise `EOFError` if nothing does."""
        (length,) = BODY.unpack(self._exactly(BODY.size))
        return self._exactly(length)

    def _exactly(self, length: int) -> bytearray:
        content = bytearray(length)
        view = memoryview(content)
        while view:
            received = self._line.recv_into(view)
            if not received:
                raise EOFError
            view = view[received:]
        return content

    def part(self, number: int) -> int:
        """Return a descriptor of a part of the list, opened anew."""
        self.say(Kind.PART, str(number).encode())
        _, descriptors, _, _ = socket.recv_fds(self._line, 1, 1)
        if not descriptors:
            raise EOFError
        return descriptors[0]


class _Parts:
    """Opens the parts of a list; one descriptor is held."""

    def __init__(self, line: _Line, step_cpu_s: int, names: list[str]) -> None:
        self._line = line
        self._names = names
        self.reading = ""
        """The name of the part that is read, and a colon."""
        self._step_cpu_s = step_cpu_s
        self._held: tuple[int, int] | None = None

    def open(self, number: int) -> IO[bytes]:
        if self._held is None or self._held[0] != number:
            if self._held is not None:
                os.close(self._held[1])
                self._held = None
            self._held = number, self._line.part(number)
            self.reading = f"{self._names[number]}: "
        return io.BufferedReader(PartFile(os.dup(self._held[1]), self.read_on), BUFFER_BYTES)

    def read_on(self) -> None:
        """Allow the CPU time of one more step."""
        limit_cpu(self._step_cpu_s, at_most=LIFETIME_CPU_S)


def _serve(line: _Line, missing: tuple[str, ...]) -> None:
    line.say(Kind.GREETING, msgspec.json.encode(missing))
    request = msgspec.json.decode(line.receive(), type=Request)
    limit_memory(request.memory_max_bytes, at_most=request.memory_max_bytes)
    parts = _Parts(line, request.step_cpu_s, request.parts or [])
    parts.read_on()
    refusal = None
    try:
        if request.parts is None:
            _read_bodies(line, parts, request)
        else:
            for frame in _pages(request, request.parts, parts):
                line.send(frame)
                parts.read_on()
    except SourceRefused as error:
        refusal = Refusal(error.message, error.remedy)
    except MemoryError:
        refusal = _too_much_memory(request.memory_max_bytes, parts.reading)
    # Here, where what filled the memory is gone with the exception.
    if refusal is not None:
        line.refuse(Kind.REFUSED, refusal)


def _too_much_memory(limit: int, reading: str) -> Refusal:
    """Return why a list is refused that does not fit the memory of its parser, in bytes."""
    return Refusal(
        f"{reading}The list needs more than {limit // MIB} MiB of memory to be read.",
        "Write it as CSV or JSON Lines, with shorter values.",
    )


def _pages(request: Request, names: list[str], parts: _Parts) -> Iterator[bytes]:
    """Yield the pages of a list as frames."""
    choice = ColumnChoice(
        tuple(request.urls), request.brand_column, request.key, quotes=request.quotes
    )
    opened = [(name, lambda number=number: parts.open(number)) for number, name in enumerate(names)]
    rows = BrandRows(opened, request.brand, choice, samples=request.samples)
    page, first = PageWriter(request.page_rows), not request.offset
    for record in rows.records(request.offset):
        if page.full:
            # Only now is it known that this page is not the last.
            yield page.frame(last=False, lists=rows.found() if first else (), brands=rows.brands())
            first = False
        page.add(record)
    yield page.frame(last=True, lists=rows.found() if first else (), brands=rows.brands())


def _read_bodies(line: _Line, parts: _Parts, request: Request) -> None:
    # Imported for services and sites only.
    from triptych.gather.documents.document_parsers import parser_of
    from triptych.gather.lists.catalog_page import Doubted

    parse = parser_of(request.documents)
    while True:
        head = DocumentHead("")
        if request.documents is not None:
            head = msgspec.json.decode(line.receive(), type=DocumentHead)
        body = line.receive()
        parts.read_on()
        try:
            found = parse(head, body)
        except Doubted as doubt:
            line.refuse(Kind.DOUBTED, Refusal(doubt.why, doubt.remedy, doubt.at_once))
            continue
        del body
        page = PageWriter(request.page_rows)
        for record in found.records:
            if page.full:
                line.send(page.frame(last=False))
            page.add(record)
        line.send(
            page.frame(last=True, cursor=found.cursor, links=found.links, is_index=found.is_index)
        )


if __name__ == "__main__":
    main()
