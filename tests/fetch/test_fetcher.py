"""Fetching from a server that does everything wrong: each outcome has its reason."""

from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from tests.support.fetching import (
    BODY,
    MAX_BYTES,
    PATIENCE_S,
    Handler,
    Names,
    NoNames,
    fetching,
    good,
    opened_fetcher,
)
from triptych.errors import HostDown, ItemError, PermanentItemError, TransientItemError
from triptych.fetch.fetcher import RETRY_AFTER_MAX_S, Fetcher, parse_retry_after
from triptych.model import Reason

pytestmark = pytest.mark.integration

LONG_S = 60.0


async def outcome(handler: Handler, path: str = "/a", **options: object) -> ItemError:
    """Fetch what must fail; return how."""
    async with fetching(handler, **options) as (fetcher, base):  # type: ignore[arg-type]
        with pytest.raises(ItemError) as error:
            await asyncio.wait_for(fetcher.fetch(base + path), PATIENCE_S)
    return error.value


async def failure(fetcher: Fetcher, url: str) -> ItemError:
    """Wait for the slot of what must fail, and fetch it; return how it fails."""
    try:
        with await fetcher.slot(url):
            await fetcher.fetch(url)
    except ItemError as error:
        return error
    pytest.fail("it was fetched")


def status(code: int, **headers: str) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=code, headers=named)

    return answer


async def test_a_body_comes_whole_with_what_identifies_it() -> None:
    async with fetching(good) as (fetcher, base):
        fetched = await fetcher.fetch(f"{base}/a")
    assert fetched is not None
    assert fetched.body == BODY
    assert (fetched.media_type, fetched.etag) == ("image/png", '"e"')
    assert fetched.last_modified == "Tue, 24 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (404, PermanentItemError, Reason.NOT_FOUND),
        (410, PermanentItemError, Reason.NOT_FOUND),
        (401, PermanentItemError, Reason.FORBIDDEN),
        (403, PermanentItemError, Reason.FORBIDDEN),
        (451, PermanentItemError, Reason.FORBIDDEN),
        (400, PermanentItemError, Reason.HTTP_ERROR),
        (204, PermanentItemError, Reason.HTTP_ERROR),
        (205, PermanentItemError, Reason.HTTP_ERROR),
        (202, TransientItemError, Reason.SERVER_ERROR),
        (206, TransientItemError, Reason.TRUNCATED),
        (302, PermanentItemError, Reason.HTTP_ERROR),
        (408, TransientItemError, Reason.TIMEOUT),
        (429, TransientItemError, Reason.THROTTLED),
        (500, TransientItemError, Reason.SERVER_ERROR),
        (503, TransientItemError, Reason.SERVER_ERROR),
    ],
)
async def test_each_status_has_its_reason(code: int, kind: type[ItemError], reason: Reason) -> None:
    error = await outcome(status(code))
    assert (type(error), error.reason) == (kind, reason)
    assert str(code) in error.detail


@pytest.mark.parametrize("code", [201, 203, 207, 299])
async def test_any_success_with_a_body_is_a_picture(code: int) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=code, body=BODY)

    async with fetching(answer) as (fetcher, base):
        fetched = await fetcher.fetch(f"{base}/a")
    assert fetched is not None
    assert fetched.body == BODY


@pytest.mark.parametrize(
    ("content_range", "whole"),
    [
        (f"bytes 0-{len(BODY) - 1}/{len(BODY)}", True),
        (f"BYTES  0-{len(BODY) - 1}/{len(BODY)}", True),
        (f"bytes 0-{len(BODY) - 1}/{len(BODY) + 1}", False),
        (f"bytes 1-{len(BODY)}/{len(BODY) + 1}", False),
        (f"bytes 0-{len(BODY) - 1}/*", False),
        ("bytes */500", False),
        ("500", False),
        ("", False),
    ],
)
async def test_a_206_is_a_picture_if_it_is_whole(content_range: str, whole: bool) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=206, body=BODY, headers={"Content-Range": content_range})

    if not whole:
        error = await outcome(answer)
        assert (type(error), error.reason) == (TransientItemError, Reason.TRUNCATED)
        assert error.detail == f"HTTP 206 with {content_range or 'no Content-Range'}"
        return
    async with fetching(answer) as (fetcher, base):
        fetched = await fetcher.fetch(f"{base}/a")
    assert fetched is not None
    assert fetched.body == BODY


@pytest.mark.parametrize("code", [202, 206, 429, 503])
async def test_retry_after_is_carried(code: int) -> None:
    error = await outcome(status(code, Retry_After="7"))
    assert isinstance(error, TransientItemError)
    assert error.retry_after_s == 7


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 5 ", 5),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("9" * 400, RETRY_AFTER_MAX_S),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=999), usegmt=True), RETRY_AFTER_MAX_S),
    ],
)
def test_retry_after_is_read_and_bounded(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


async def test_redirects_are_followed_and_counted() -> None:
    async def hop(request: web.Request) -> web.Response:
        left = int(request.match_info["name"])
        if left:
            raise web.HTTPFound(f"/{left - 1}")
        return await good(request)

    async with fetching(hop) as (fetcher, base):
        fetched = await fetcher.fetch(f"{base}/3")
        assert fetched is not None
        assert fetched.final_url == f"{base}/0"
        with pytest.raises(PermanentItemError) as error:
            await fetcher.fetch(f"{base}/4")
    assert error.value.reason is Reason.TOO_MANY_REDIRECTS
    assert "cookie" not in error.value.detail


async def test_redirects_that_lead_back_are_said_to_want_a_cookie() -> None:
    async def back(request: web.Request) -> web.Response:
        raise web.HTTPFound(request.path)

    async with fetching(back) as (fetcher, base):
        with pytest.raises(PermanentItemError, match="it may want a cookie") as error:
            await fetcher.fetch(f"{base}/1")
    assert error.value.reason is Reason.TOO_MANY_REDIRECTS


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://10.0.0.1/", Reason.ADDRESS_REFUSED),
        ("http://169.254.169.254/latest/meta-data/", Reason.ADDRESS_REFUSED),
        ("http://user:password@127.0.0.1/", Reason.ADDRESS_REFUSED),
        ("ftp://127.0.0.1/", Reason.INVALID_URL),
        ("file:///etc/passwd", Reason.INVALID_URL),
        ("//[", Reason.INVALID_URL),
    ],
)
async def test_g9_every_redirect_is_checked_again(target: str, reason: Reason) -> None:
    error = await outcome(status(302, Location=target))
    assert (type(error), error.reason) == (PermanentItemError, reason)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]"],
)
async def test_g9_no_spelling_of_loopback_is_reached(host: str) -> None:
    hits = 0

    async def count(request: web.Request) -> web.Response:
        nonlocal hits
        hits += 1
        return await good(request)

    async with fetching(count, allow=False) as (fetcher, base):
        port = base.rpartition(":")[2]
        with pytest.raises(ItemError) as error:
            await fetcher.fetch(f"http://{host}:{port}/a")
    assert error.value.reason is Reason.ADDRESS_REFUSED
    assert hits == 0


async def test_g9_a_name_that_changes_its_answer_is_checked_each_time() -> None:
    """DNS rebinding: the address that was checked is the one that is connected to."""
    error = await outcome(good, allow=False, resolver=Names("10.0.0.1", "127.0.0.1"))
    assert error.reason is Reason.ADDRESS_REFUSED
    names = Names("127.0.0.1")
    async with fetching(good, allow=False, resolver=names) as (fetcher, base):
        port = base.rpartition(":")[2]
        with pytest.raises(PermanentItemError) as refused:
            await fetcher.fetch(f"http://rebinding.example:{port}/")
    assert refused.value.reason is Reason.ADDRESS_REFUSED
    assert names.answers == []


@pytest.mark.parametrize("robots", [False, True])
async def test_a_name_that_does_not_exist_is_named_at_once(robots: bool) -> None:
    async with opened_fetcher(robots=robots, resolver=NoNames()) as fetcher:
        for _ in range(3):
            error = await failure(fetcher, "http://nowhere.example/")
            assert isinstance(error, PermanentItemError)
            assert error.reason is Reason.NAME_NOT_RESOLVED
            assert error.detail == "nowhere.example does not exist"


async def test_a_redirect_to_a_name_that_does_not_exist_is_named() -> None:
    moved = status(302, Location="http://nowhere.example/")
    async with fetching(moved, resolver=NoNames()) as (fetcher, base):
        with pytest.raises(PermanentItemError) as error:
            await fetcher.fetch(f"{base}/a")
    assert error.value.reason is Reason.NAME_NOT_RESOLVED


async def test_a_name_that_existed_before_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.fetch.transport.DNS_CACHE_S", 0)
    names = NoNames("127.0.0.1")

    async def closing(_request: web.Request) -> web.Response:
        return web.Response(body=BODY, headers={"Connection": "close"})

    async with fetching(closing, resolver=names) as (fetcher, base):
        url = f"http://moving.example:{base.rpartition(':')[2]}/a"
        assert await fetcher.fetch(url) is not None
        with pytest.raises(HostDown) as error:
            await fetcher.fetch(url)
    assert "moving.example does not exist" in error.value.why


async def test_a_name_that_cannot_be_looked_up_may_do_so_later() -> None:
    async with fetching(good, resolver=Names()) as (fetcher, _):
        with pytest.raises(HostDown) as error:
            await fetcher.fetch("http://nowhere.example/")
    assert error.value.host == "http://nowhere.example"


async def test_g8_a_body_without_end_stops_at_the_cap() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 100 * MAX_BYTES:
            await response.write(b"x" * 10_000)
            sent += 10_000
        return response

    error = await outcome(endless)
    assert (type(error), error.reason) == (PermanentItemError, Reason.TOO_LARGE)
    assert sent < 100 * MAX_BYTES


async def test_g8_a_declared_length_over_the_cap_is_not_read() -> None:
    async def declared(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * (MAX_BYTES + 1))

    assert (await outcome(declared)).reason is Reason.TOO_LARGE


async def test_g8_a_compressed_bomb_stops_at_the_cap() -> None:
    bomb = gzip.compress(bytes(50_000_000))

    async def explode(_request: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    assert len(bomb) < MAX_BYTES
    assert (await outcome(explode)).reason is Reason.TOO_LARGE


async def test_g3_a_body_that_stalls_ends_at_the_deadline() -> None:
    released = asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.wait_for(released.wait(), LONG_S)
        return response

    error = await outcome(stall, deadline_s=0.2)
    released.set()
    assert (type(error), error.reason) == (TransientItemError, Reason.TIMEOUT)


async def raw(answer: bytes) -> ItemError:
    """Fetch from a server that writes these bytes and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, fetching(good) as (fetcher, _):
        with pytest.raises(ItemError) as error:
            await asyncio.wait_for(fetcher.fetch(f"http://127.0.0.1:{port}/"), PATIENCE_S)
    return error.value


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nshort",
            TransientItemError,
            Reason.TRUNCATED,
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", PermanentItemError, Reason.HTTP_ERROR),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", PermanentItemError, Reason.NOT_AN_IMAGE),
        (
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
            PermanentItemError,
            Reason.HTTP_ERROR,
        ),
    ],
)
async def test_servers_that_do_not_keep_to_http(
    answer: bytes, kind: type[ItemError], reason: Reason
) -> None:
    error = await raw(answer)
    assert (type(error), error.reason) == (kind, reason)


async def test_g9_no_cookie_is_kept() -> None:
    seen: list[str | None] = []

    async def cookies(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        return web.Response(body=BODY, headers={"Set-Cookie": "a=b"})

    async with fetching(cookies) as (fetcher, base):
        await fetcher.fetch(f"{base}/1")
        await fetcher.fetch(f"{base}/2")
    assert seen == [None, None]
