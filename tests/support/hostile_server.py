"""A server that does everything wrong on purpose: one way of it for each path."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

from tests.support.picture_server import picture
from triptych.model import Reason

DRIP_S = 0.05
LIFE_S = 60.0
"""A connection that the client leaves open is given up after this."""
BOMB_BYTES = 256 * 1024 * 1024
PART = b"x" * 16_384
OK = b"HTTP/1.1 200 OK\r\n"
REFUSED_PLACE = b"http://169.254.169.254/latest/meta-data/"

Serve = Callable[[asyncio.StreamWriter, str], Awaitable[None]]


@dataclass(frozen=True)
class HttpTransport:
    """One way to be hostile, and what a fetch of it may end in; None for a good end."""

    serve: Serve
    reasons: frozenset[Reason | None]


def says(*parts: bytes) -> Serve:
    async def serve(writer: asyncio.StreamWriter, _path: str) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return serve


def goes_on(head: bytes, part: bytes, *, pause_s: float = 0.0) -> Serve:
    """Send a head, then the same part again and again."""

    async def serve(writer: asyncio.StreamWriter, _path: str) -> None:
        writer.write(head)
        while True:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return serve


def resets(*parts: bytes) -> Serve:
    """Send parts and reset the connection: RST instead of FIN."""

    async def serve(writer: asyncio.StreamWriter, _path: str) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    return serve


def redirects(target: Callable[[str], bytes]) -> Serve:
    async def serve(writer: asyncio.StreamWriter, path: str) -> None:
        location = b"Location: " + target(path)
        writer.write(b"HTTP/1.1 302 Found\r\n" + location + b"\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    return serve


async def silence(_writer: asyncio.StreamWriter, _path: str) -> None:
    await asyncio.sleep(LIFE_S)


def with_length(body: bytes, length: object, kind: bytes = b"image/png") -> bytes:
    head = OK + b"Content-Type: " + kind + b"\r\n"
    return head + b"Content-Length: " + str(length).encode() + b"\r\n\r\n" + body


@cache
def bomb(coding: str) -> bytes:
    """Return a body that is a quarter of a gibibyte of zeros when it is decompressed."""
    if coding == "gzip":
        body = gzip.compress(bytes(BOMB_BYTES), 9)
    else:
        body = zlib.compress(bytes(BOMB_BYTES), 9)
    head = OK + b"Content-Encoding: " + coding.encode() + b"\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def explode(writer: asyncio.StreamWriter, path: str) -> None:
    await says(bomb("deflate" if "deflate" in path else "gzip"))(writer, path)


def one(reason: Reason | None) -> frozenset[Reason | None]:
    return frozenset({reason})


PICTURE = picture(1)
TOO_LARGE, TIMEOUT, TRUNCATED = one(Reason.TOO_LARGE), one(Reason.TIMEOUT), one(Reason.TRUNCATED)
HTTP_ERROR, NO_IMAGE = one(Reason.HTTP_ERROR), one(Reason.NOT_AN_IMAGE)
LOOPS, AWAY = one(Reason.TOO_MANY_REDIRECTS), one(Reason.CONNECTION_FAILED)
ZIPPED = OK + b"Content-Encoding: gzip\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

WAYS: Mapping[str, HttpTransport] = {
    # Bodies without end.
    "endless": HttpTransport(goes_on(OK + b"\r\n", PART), TOO_LARGE),
    "endless_chunks": HttpTransport(goes_on(CHUNKED, b"4000\r\n" + PART + b"\r\n"), TOO_LARGE),
    "endless_small_chunks": HttpTransport(goes_on(CHUNKED, b"1\r\nx\r\n" * 1000), TOO_LARGE),
    # Slow loris: always something, never enough.
    "loris_head": HttpTransport(goes_on(OK, b"X-A: b\r\n"[:1], pause_s=DRIP_S), TIMEOUT),
    "loris_body": HttpTransport(
        goes_on(OK + b"Content-Length: 99999\r\n\r\n", b"x", pause_s=DRIP_S), TIMEOUT
    ),
    "loris_chunks": HttpTransport(goes_on(CHUNKED, b"1\r\nx\r\n", pause_s=DRIP_S), TIMEOUT),
    "silence": HttpTransport(silence, TIMEOUT),
    "continues": HttpTransport(
        goes_on(b"", b"HTTP/1.1 100 Continue\r\n\r\n", pause_s=DRIP_S),
        frozenset({Reason.TIMEOUT, Reason.CONNECTION_FAILED}),
    ),
    # Lengths that lie.
    "length_too_long": HttpTransport(says(with_length(PICTURE, len(PICTURE) + 1)), TRUNCATED),
    "length_too_short": HttpTransport(
        says(with_length(PICTURE, len(PICTURE) // 2)), HTTP_ERROR | one(Reason.UNDECODABLE)
    ),
    "length_absurd": HttpTransport(says(with_length(PICTURE, 10**15)), TOO_LARGE),
    "length_beyond_numbers": HttpTransport(
        says(with_length(PICTURE, "9" * 5000)), HTTP_ERROR | TOO_LARGE
    ),
    "length_negative": HttpTransport(says(with_length(PICTURE, -1)), HTTP_ERROR),
    "length_no_number": HttpTransport(says(with_length(PICTURE, "ten")), HTTP_ERROR),
    "length_twice": HttpTransport(
        says(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), HTTP_ERROR
    ),
    "length_zero": HttpTransport(says(with_length(b"", 0)), NO_IMAGE),
    "chunk_no_number": HttpTransport(says(CHUNKED + b"zz\r\nxx\r\n"), TRUNCATED | HTTP_ERROR),
    "chunk_size_endless": HttpTransport(goes_on(CHUNKED, b"1" * 1000), TRUNCATED | HTTP_ERROR),
    # Compressed.
    "bomb_gzip": HttpTransport(explode, TOO_LARGE),
    "bomb_deflate": HttpTransport(explode, TOO_LARGE),
    "bomb_in_bomb": HttpTransport(
        says(
            OK
            + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
            + gzip.compress(gzip.compress(bytes(10_000_000)))
        ),
        NO_IMAGE,
    ),
    "no_gzip": HttpTransport(says(ZIPPED + b"Content-Length: 9\r\n\r\nno gzip!!"), TRUNCATED),
    "gzip_cut": HttpTransport(
        says(ZIPPED + b"\r\n" + gzip.compress(PICTURE)[: len(PICTURE) // 2]),
        TRUNCATED | one(Reason.UNDECODABLE),
    ),
    # Redirects.
    "redirect_to_itself": HttpTransport(redirects(str.encode), LOOPS),
    "redirect_on_and_on": HttpTransport(redirects(lambda path: path.encode() + b"1"), LOOPS),
    "redirect_inside": HttpTransport(
        redirects(lambda _: REFUSED_PLACE), one(Reason.ADDRESS_REFUSED)
    ),
    "redirect_nowhere": HttpTransport(
        redirects(lambda _: b"http://[::bad"), one(Reason.INVALID_URL)
    ),
    "redirect_to_files": HttpTransport(
        redirects(lambda _: b"file:///etc/passwd"), one(Reason.INVALID_URL)
    ),
    # Headers.
    "headers_10000": HttpTransport(
        says(OK + b"".join(b"X-%d: a\r\n" % n for n in range(10_000)) + b"\r\n"), HTTP_ERROR
    ),
    "headers_endless": HttpTransport(goes_on(OK, b"X-A: " + b"b" * 1000 + b"\r\n"), HTTP_ERROR),
    "header_of_a_megabyte": HttpTransport(
        says(OK + b"X-A: " + b"b" * 1_000_000 + b"\r\n\r\n"), HTTP_ERROR
    ),
    "header_line_endless": HttpTransport(goes_on(OK + b"X-A: ", b"b" * 1000), HTTP_ERROR),
    "header_of_bytes": HttpTransport(says(OK + bytes(range(256)) + b"\r\n\r\n"), HTTP_ERROR),
    "status_endless": HttpTransport(goes_on(b"HTTP/1.1 200 ", b"O" * 1000), HTTP_ERROR),
    "no_http": HttpTransport(says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), HTTP_ERROR),
    "nothing": HttpTransport(says(b""), AWAY),
    # Types.
    "html_as_png": HttpTransport(says(with_length(b"<html>" * 20, 120)), NO_IMAGE),
    "png_as_html": HttpTransport(says(with_length(PICTURE, len(PICTURE), b"text/html")), one(None)),
    "type_of_bytes": HttpTransport(
        says(with_length(PICTURE, len(PICTURE), b"\xff/\xfe;;=")), one(None)
    ),
    "no_type": HttpTransport(
        says(OK + b"Content-Length: %d\r\n\r\n" % len(PICTURE) + PICTURE), one(None)
    ),
    # Resets.
    "reset_at_once": HttpTransport(resets(), AWAY),
    "reset_in_head": HttpTransport(resets(OK[:9]), AWAY),
    "reset_in_body": HttpTransport(resets(with_length(PICTURE[:50], len(PICTURE))), TRUNCATED),
    "reset_in_chunks": HttpTransport(resets(CHUNKED + b"4000\r\nxx"), TRUNCATED),
}


async def until_hung_up(work: Awaitable[None], reader: asyncio.StreamReader) -> None:
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(reader.read())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Server:
    """Serves ``/<way>/<anything>``; counts what was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(LIFE_S):
                request = await reader.readuntil(b"\r\n\r\n")
                path = request.split(b" ")[1].decode()
                self.asked += 1
                if path == "/robots.txt":
                    await says(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n")(writer, path)
                else:
                    await until_hung_up(WAYS[path.split("/")[1]].serve(writer, path), reader)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # The client has hung up, as it should.
        finally:
            writer.close()


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """Serve on every address of loopback: each way may be a host of its own."""
    server = Server()
    listening = await asyncio.start_server(server.serve, "0.0.0.0", 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server


def url_of(server: Server, way: str, number: int = 0) -> str:
    """Return a URL; each way has a host of its own."""
    return f"http://127.0.1.{list(WAYS).index(way) + 1}:{server.port}/{way}/{number}"
