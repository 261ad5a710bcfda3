"""Bodies in the codings that servers name, decoded in pieces and bounded."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.fetching import MAX_BYTES, PATIENCE_S, fetching, good, opened_fetcher
from triptych.errors import ItemError, PermanentItemError, TransientItemError
from triptych.model import Reason

pytestmark = pytest.mark.integration

PIXELS = bytes(range(256)) * 300
ZIPPED = gzip.compress(PIXELS, mtime=0)


@asynccontextmanager
async def serving(*codings: str, body: bytes, chunk: int = 1000) -> AsyncIterator[str]:
    """Serve a body, chunk by chunk, that is said to be in these codings; yield its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            head = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
            head += "".join(f"Content-Encoding: {coding}\r\n" for coding in codings)
            writer.write(head.encode() + b"\r\n")
            for start in range(0, len(body), chunk):
                part = body[start : start + chunk]
                writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        except ConnectionError:
            pass  # The client has hung up, as it may.
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def fetched(*codings: str, body: bytes, chunk: int = 1000) -> bytes:
    async with serving(*codings, body=body, chunk=chunk) as url, opened_fetcher() as fetcher:
        answer = await asyncio.wait_for(fetcher.fetch(url), PATIENCE_S)
    assert answer is not None
    return answer.body


async def fails(*codings: str, body: bytes) -> ItemError:
    async with serving(*codings, body=body) as url, fetching(good) as (fetcher, _):
        with pytest.raises(ItemError) as error:
            await asyncio.wait_for(fetcher.fetch(url), PATIENCE_S)
    return error.value


@pytest.mark.parametrize(
    "codings",
    [
        ("gzip",),
        ("x-gzip",),
        ("X-GZip",),
        ("identity, x-gzip",),
        ("gzip, identity",),
        ("gzip", "identity"),
        ("identity", "gzip"),
        ("aws-chunked,gzip",),
        ("gzip,",),
    ],
)
async def test_gzip_by_each_of_its_names_is_decoded(codings: tuple[str, ...]) -> None:
    assert await fetched(*codings, body=ZIPPED) == PIXELS


@pytest.mark.parametrize("coding", ["identity", "none", "utf-8", "aws-chunked", "binary", ""])
async def test_what_is_no_coding_is_ignored(coding: str) -> None:
    assert await fetched(coding, body=PIXELS) == PIXELS


async def test_any_cut_and_several_members_and_padding_are_read() -> None:
    for chunk in (1, 7, 100_000):
        body = ZIPPED + gzip.compress(b"more") + bytes(50)
        assert await fetched("x-gzip", body=body, chunk=chunk) == PIXELS + b"more"


@pytest.mark.parametrize("size", [64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 128 * 1024, 1])
async def test_sizes_around_a_piece(size: int) -> None:
    body = gzip.compress(bytes(size))
    assert await fetched("x-gzip", body=body) == bytes(size)


@pytest.mark.parametrize(
    "coding", ["compress", "x-compress", "gzip, gzip", "br, gzip", "deflate, x-gzip", "x-bzip2"]
)
async def test_what_is_not_supported_is_named(coding: str) -> None:
    error = await fails(coding, body=ZIPPED)
    assert (type(error), error.reason) == (PermanentItemError, Reason.NOT_AN_IMAGE)
    assert error.detail == f"its Content-Encoding is {coding}, which is not supported"


@pytest.mark.parametrize(
    "body", [ZIPPED[:-1], ZIPPED[:100], b"no gzip at all", ZIPPED[:-8] + bytes(8)]
)
async def test_what_is_broken_may_go_better_next_time(body: bytes) -> None:
    error = await fails("x-gzip", body=body)
    assert (type(error), error.reason) == (TransientItemError, Reason.TRUNCATED)
    assert "x-gzip" in error.detail


async def test_g8_a_bomb_stops_at_the_cap() -> None:
    error = await fails("x-gzip", body=gzip.compress(bytes(1000 * MAX_BYTES)))
    assert (type(error), error.reason) == (PermanentItemError, Reason.TOO_LARGE)
    squared = zlib.compressobj(wbits=31)
    members = b"".join([gzip.compress(b"")] * 10_000) + squared.compress(b"x") + squared.flush()
    assert await fetched("x-gzip", body=members) == b"x"
