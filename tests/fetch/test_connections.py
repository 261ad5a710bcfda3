"""Connections that break, lie or speak nonsense: one line, one reason, and never another error."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.support.fetching import BODY, PATIENCE_S, fetching, good
from triptych.errors import HostDown, ItemError, PermanentItemError, TransientItemError
from triptych.model import Reason

pytestmark = pytest.mark.integration

OK = b"HTTP/1.1 200 OK\r\n"
PIXELS = bytes(range(256)) * 10
ZIPPED = gzip.compress(PIXELS, mtime=0)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class NoAddress(AbstractResolver):
    """Knows every name, and no address of any."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return []

    async def close(self) -> None:
        return None


async def fails(url: str) -> ItemError:
    async with fetching(good) as (fetcher, _):
        with pytest.raises(ItemError) as error:
            await asyncio.wait_for(fetcher.fetch(url), 2 * PATIENCE_S)
    assert error.value.detail
    assert "\n" not in str(error.value)
    return error.value


async def outage(url: str, resolver: AbstractResolver | None = None) -> HostDown:
    async with fetching(good, resolver=resolver) as (fetcher, _):
        with pytest.raises(HostDown) as error:
            await asyncio.wait_for(fetcher.fetch(url), 2 * PATIENCE_S)
    assert "\n" not in str(error.value)
    assert error.value.tried
    return error.value


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve raw connections; give the URL, and wait for each connection to be over."""
    connections: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client has hung up, as it may.
        finally:
            writer.close()

    server = await asyncio.start_server(run, "127.0.0.1", 0, ssl=tls)
    async with server:
        scheme = "https" if tls else "http"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        if connections:
            await asyncio.wait(connections, timeout=PATIENCE_S)


def answering(answer: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return serve


def resetting(answer: bytes) -> Serve:
    """Answer with some bytes and reset the connection: RST instead of FIN."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    return serve


@pytest.mark.parametrize(
    ("serve", "reason"),
    [
        (resetting(OK + b"Content-Length: 50\r\n\r\nxx"), Reason.TRUNCATED),
        (answering(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab"), Reason.TRUNCATED),
        (
            answering(OK + b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nno gzip!!"),
            Reason.TRUNCATED,
        ),
        (answering(b"HTTP/1.1 999 Denied\r\n\r\n"), Reason.SERVER_ERROR),
    ],
)
async def test_what_may_go_better_next_time_is_transient(serve: Serve, reason: Reason) -> None:
    async with serving(serve) as url:
        error = await fails(url)
    assert (type(error), error.reason) == (TransientItemError, reason)


@pytest.mark.parametrize(
    "serve",
    [
        answering(b""),
        resetting(b""),
        resetting(OK[:9]),
        answering(b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
async def test_a_host_that_hangs_up_before_an_answer_is_down(serve: Serve) -> None:
    async with serving(serve) as url:
        error = await outage(url)
    assert url.startswith(error.host)
    assert error.why


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"220 ready\r\n\r\n", Reason.HTTP_ERROR),
        (b"\x00\xff\xfe\r\n\r\n", Reason.HTTP_ERROR),
        (OK + b"Content-Length: -1\r\n\r\nab", Reason.HTTP_ERROR),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", Reason.HTTP_ERROR),
        (OK + b"A: b\r\n" * 20_000 + b"\r\n", Reason.HTTP_ERROR),
        (b"HTTP/1.1 302 Found\r\nLocation: \r\n\r\n", Reason.TOO_MANY_REDIRECTS),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:99999/\r\n\r\n", Reason.INVALID_URL),
        (b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\n\r\n", Reason.INVALID_URL),
        (b"HTTP/1.1 302 Found\r\nLocation: http://%s/\r\n\r\n" % (b"a" * 70), Reason.INVALID_URL),
    ],
)
async def test_what_stays_as_it_is_is_permanent(answer: bytes, reason: Reason) -> None:
    async with serving(answering(answer)) as url:
        error = await fails(url)
    assert (type(error), error.reason) == (PermanentItemError, reason)


async def test_nobody_listening_may_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = await outage(f"http://127.0.0.1:{port}/")
    assert error.host == f"http://127.0.0.1:{port}"


async def test_a_name_without_an_address_is_not_resolved() -> None:
    async with fetching(good, resolver=NoAddress()) as (fetcher, _):
        with pytest.raises(PermanentItemError, match=r"empty\.example has no address") as error:
            await asyncio.wait_for(fetcher.fetch("http://empty.example/"), PATIENCE_S)
    assert error.value.reason is Reason.NAME_NOT_RESOLVED


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make_certificate(key, certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def make_certificate(key: Path, certificate: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )


async def test_an_untrusted_certificate_is_refused_and_may_be_renewed(
    self_signed: ssl.SSLContext,
) -> None:
    served = answering(OK + b"Content-Length: 5\r\n\r\nimage")
    async with serving(served, self_signed) as url:
        error = await fails(url)
    assert (type(error), error.reason) == (TransientItemError, Reason.CONNECTION_FAILED)
    assert "CERTIFICATE_VERIFY_FAILED" in error.detail


async def test_a_compressed_body_comes_decompressed() -> None:
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED)
    async with serving(answering(head + ZIPPED)) as url, fetching(good) as (fetcher, _):
        fetched = await fetcher.fetch(url)
    assert fetched is not None
    assert fetched.body == PIXELS


async def test_a_failed_fetch_leaves_its_place_in_the_pool() -> None:
    """More failures than the pool has connections, then a success."""
    broken = answering(OK + b"Content-Length: 9\r\n\r\nx")
    async with serving(broken) as bad, fetching(good) as (fetcher, base):
        for _ in range(10):
            with pytest.raises(TransientItemError):
                await fetcher.fetch(bad)
        fetched = await asyncio.wait_for(fetcher.fetch(f"{base}/a"), PATIENCE_S)
    assert fetched is not None
    assert fetched.body == BODY
