"""Through a proxy, and with headers of a source: the guard stands, keys stay where they may go."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from yarl import URL

from tests.support.fetching import AGENT, LOOPBACK, Names, NoNames, opened_fetcher
from triptych.errors import HostDown, ItemError, PermanentItemError, TransientItemError
from triptych.fetch.guard import AddressGuard
from triptych.fetch.request_profiles import Profiles
from triptych.fetch.transport import TransportPool
from triptych.gather.source_registry import SourceRegistry
from triptych.gather.source_token import SourceToken
from triptych.model import Reason

pytestmark = pytest.mark.integration

BODY = b"image"
PATIENCE_S = 30.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nimage"


class Proxy:
    """Writes down what it is asked, and answers in the servers' stead."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.answer = OK
        self.url = URL()

    @property
    def asked(self) -> list[str]:
        return [head.split(b"\r\n")[0].decode().rpartition(" ")[0] for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(PATIENCE_S):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            await writer.drain()
            writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    made = Proxy()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server:
        yield made


async def fails(proxy: URL, url: str, names: Names | None = None) -> ItemError:
    async with opened_fetcher(allow=(), proxy=proxy, resolver=names) as fetcher:
        with pytest.raises(ItemError) as error:
            await asyncio.wait_for(fetcher.fetch(url), PATIENCE_S)
    return error.value


async def outage(proxy: URL, url: str, names: Names | None = None) -> HostDown:
    async with opened_fetcher(allow=(), proxy=proxy, resolver=names) as fetcher:
        with pytest.raises(HostDown) as error:
            await asyncio.wait_for(fetcher.fetch(url), PATIENCE_S)
    return error.value


async def test_the_proxy_is_given_the_name_that_was_checked(proxy: Proxy) -> None:
    names = Names("8.8.8.8")
    async with opened_fetcher(allow=(), proxy=proxy.url, resolver=names) as fetcher:
        for path in ("a", "b"):
            fetched = await fetcher.fetch(f"http://public.example/{path}")
            assert fetched is not None
            assert fetched.body == BODY
    assert proxy.asked == ["GET http://public.example/a", "GET http://public.example/b"]
    assert names.asked == ["public.example"], "and looked up once a minute"


async def test_https_goes_through_a_tunnel(proxy: Proxy) -> None:
    proxy.answer = b"HTTP/1.1 200 Connection established\r\n\r\n"
    down = await outage(proxy.url, "https://public.example/a", Names("8.8.8.8"))
    assert down.host == "https://public.example", "it hangs up in the tunnel"
    assert proxy.asked == ["CONNECT public.example:443"]


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("http://127.0.0.1/", None),
        ("http://[::1]/", None),
        ("http://2130706433/", None),
        ("https://169.254.169.254/latest/meta-data/", None),
        ("http://8.8.8.8:6379/", None),
        ("http://me:pw@public.example/", None),
        ("http://inside.example/", ["10.0.0.1"]),
        ("https://inside.example/", ["10.0.0.1"]),
        ("http://mixed.example/", ["8.8.8.8", "10.0.0.1"]),
        ("http://public.example:6379/", ["8.8.8.8"]),
    ],
)
async def test_g9_nothing_is_handed_over_that_is_not_public(
    proxy: Proxy, url: str, names: list[str] | None
) -> None:
    error = await fails(proxy.url, url, Names(names) if names else None)
    assert (type(error), error.reason) == (PermanentItemError, Reason.ADDRESS_REFUSED)
    assert proxy.heads == []


async def test_g9_the_proxy_itself_is_no_target(proxy: Proxy) -> None:
    error = await fails(proxy.url, f"{proxy.url}/admin")
    assert error.reason is Reason.ADDRESS_REFUSED
    named = URL(f"http://proxy.example:{proxy.url.port}")
    error = await fails(named, f"{named}/admin", Names("127.0.0.1"))
    assert error.reason is Reason.ADDRESS_REFUSED
    assert proxy.heads == []


async def test_g9_redirects_through_a_proxy_are_checked(proxy: Proxy) -> None:
    proxy.answer = (
        b"HTTP/1.1 302 Found\r\nLocation: http://inside.example/\r\nContent-Length: 0\r\n\r\n"
    )
    error = await fails(proxy.url, "http://public.example/", Names("8.8.8.8", "10.0.0.1"))
    assert error.reason is Reason.ADDRESS_REFUSED
    assert proxy.asked == ["GET http://public.example/"]


async def test_a_proxy_has_a_name_and_credentials_that_are_its_own(proxy: Proxy) -> None:
    named = URL(f"http://me:s3cret@proxy.example:{proxy.url.port}")
    names = Names("8.8.8.8", "127.0.0.1")
    async with opened_fetcher(allow=(), proxy=named, resolver=names) as fetcher:
        assert await fetcher.fetch("http://public.example/a") is not None
    expected = b"Proxy-Authorization: Basic " + b64encode(b"me:s3cret")
    assert expected in proxy.heads[0]
    assert names.asked == ["public.example", "proxy.example"]


@pytest.mark.parametrize("status", [b"407 Proxy Authentication Required", b"403 Forbidden"])
async def test_a_proxy_that_refuses_may_do_so_for_now(proxy: Proxy, status: bytes) -> None:
    proxy.answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    named = proxy.url.with_user("me").with_password("s3cret")
    error = await fails(named, "https://public.example/a", Names("8.8.8.8"))
    assert (type(error), error.reason) == (TransientItemError, Reason.CONNECTION_FAILED)
    assert "proxy" in error.detail
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("status", [b"502 Bad Gateway", b"503 No", b"504 Gateway Timeout"])
async def test_a_proxy_that_reaches_no_host_answers_itself(proxy: Proxy, status: bytes) -> None:
    proxy.answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    down = await outage(proxy.url, "https://public.example/a", Names("8.8.8.8"))
    assert down.host == "https://public.example"
    assert "proxy" in down.why
    plain = await fails(proxy.url, "http://public.example/a", Names("8.8.8.8"))
    assert isinstance(plain, TransientItemError), "an answer as any other"


@pytest.mark.parametrize("host", ["127.0.0.1", "proxy.example"])
async def test_a_proxy_that_is_away_may_come_back(host: str) -> None:
    """Whether it refuses or has no address, it is down, and with it all that is behind it."""
    away = URL(f"http://me:s3cret@{host}:9")
    async with opened_fetcher(allow=(), proxy=away, resolver=Names("8.8.8.8")) as fetcher:
        for url in ("http://a.example/a", "http://b.example/b"):
            with pytest.raises(HostDown) as error:
                await asyncio.wait_for(fetcher.fetch(url), PATIENCE_S)
            assert error.value.host == f"proxy http://{host}:9"
            assert "s3cret" not in str(error.value)


async def test_a_name_that_does_not_resolve_is_not_the_proxys_fault(proxy: Proxy) -> None:
    down = await outage(proxy.url, "http://nowhere.example/a", Names())
    assert down.host == "http://nowhere.example"
    missing = await fails(proxy.url, "http://nowhere.example/a", NoNames())
    assert (type(missing), missing.reason) == (PermanentItemError, Reason.NAME_NOT_RESOLVED)
    assert proxy.heads == []


async def test_a_proxy_whose_name_does_not_exist_is_down() -> None:
    away = URL("http://proxy.example:9")
    down = await outage(away, "http://public.example/a", NoNames("8.8.8.8"))
    assert down.host == "proxy http://proxy.example:9"


class Host:
    """Servers on several origins that write down what headers came."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.locations: dict[str, str] = {}

    async def get(self, request: web.Request) -> web.Response:
        self.seen.append((request.path, {k.lower(): v for k, v in request.headers.items()}))
        if (location := self.locations.get(request.path)) is not None:
            return web.Response(status=302, headers={"Location": location})
        if request.path == "/list":
            return web.json_response({"items": []})
        return web.Response(body=BODY)

    def keys(self) -> list[tuple[str, str | None]]:
        return [(path, headers.get("x-key")) for path, headers in self.seen]


@asynccontextmanager
async def hosts(count: int) -> AsyncIterator[tuple[Host, list[str]]]:
    host = Host()
    app = web.Application()
    app.router.add_get("/{any:.*}", host.get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for number in range(count):
        await web.TCPSite(runner, f"127.0.0.{number + 1}", 0).start()
    try:
        yield host, [f"http://{address[0]}:{address[1]}" for address in runner.addresses]
    finally:
        await runner.cleanup()


def profiles(*written: dict[str, Any]) -> Profiles:
    return Profiles.parse(json.dumps(written))


SOURCE = "catalog:https://shop.example/list"


async def test_a_source_has_its_user_agent_and_headers() -> None:
    async with hosts(2) as (host, (first, second)):
        asked = profiles(
            {
                "source": SOURCE,
                "to": [first],
                "user_agent": "shop-bot",
                "headers": {"X-Key": "s3cret", "Accept": "image/webp"},
            }
        )
        async with opened_fetcher(profiles=asked) as fetcher:
            await fetcher.fetch(f"{first}/mine", source=SOURCE)
            await fetcher.fetch(f"{first}/other", source="catalog:https://other.example/")
            await fetcher.fetch(f"{first}/none")
            await fetcher.fetch(f"{second}/elsewhere", source=SOURCE)
    assert host.keys() == [
        ("/mine", "s3cret"),
        ("/other", None),
        ("/none", None),
        ("/elsewhere", None),
    ]
    assert [headers["user-agent"] for _, headers in host.seen] == ["shop-bot", *[AGENT] * 3]
    assert host.seen[0][1]["accept"] == "image/webp"


async def test_keys_are_not_sent_along_a_redirect_to_another_host() -> None:
    async with hosts(3) as (host, (first, second, third)):
        host.locations = {
            "/within": "/a",
            "/to-the-other-of-ours": f"{second}/b",
            "/away": f"{third}/c",
            "/away-and-back": f"{third}/back",
            "/back": f"{first}/d",
            "/led-in": f"{first}/e",
        }
        asked = profiles({"to": [first, second], "headers": {"X-Key": "s3cret"}})
        async with opened_fetcher(profiles=asked) as fetcher:
            for path in ("/within", "/to-the-other-of-ours", "/away", "/away-and-back"):
                await fetcher.fetch(first + path)
            await fetcher.fetch(third + "/led-in")
    assert host.keys() == [
        *(("/within", "s3cret"), ("/a", "s3cret")),
        *(("/to-the-other-of-ours", "s3cret"), ("/b", "s3cret")),
        *(("/away", "s3cret"), ("/c", None)),
        *(("/away-and-back", "s3cret"), ("/back", None), ("/d", None)),
        *(("/led-in", None), ("/e", None)),
    ]


async def test_robots_txt_is_asked_for_without_keys() -> None:
    async with hosts(1) as (host, (first,)):
        asked = profiles({"to": [first], "user_agent": "shop", "headers": {"X-Key": "s3cret"}})
        async with opened_fetcher(profiles=asked, robots=True) as fetcher:
            await fetcher.fetch(f"{first}/a")
    assert host.keys() == [("/robots.txt", None), ("/a", "s3cret")]
    assert {headers["user-agent"] for _, headers in host.seen} == {"shop"}


async def test_a_catalogue_is_asked_as_its_profile_says() -> None:
    async with hosts(2) as (host, (first, second)):
        host.locations = {"/moved": f"{second}/list"}
        asked = profiles({"source": "catalog:*", "to": [first], "headers": {"X-Key": "s3cret"}})
        transports = TransportPool(
            AddressGuard(LOOPBACK), limit=1, user_agent=AGENT, profiles=asked
        )
        try:
            for path in ("list", "moved"):
                source = SourceRegistry.discover().open(
                    f"catalog:{first}/{path}",
                    transports=transports,
                    token=SourceToken.bound("bearer", [first]),
                    page_rows=9,
                )
                assert [page.rows async for page in source.pages("nike", None)] == [[]]
        finally:
            await transports.close()
    assert host.keys() == [("/list", "s3cret"), ("/moved", "s3cret"), ("/list", None)]
    tokens = [headers.get("authorization") for _, headers in host.seen]
    assert tokens == ["Bearer bearer", "Bearer bearer", None]


async def test_a_source_has_its_proxy(proxy: Proxy) -> None:
    asked = profiles({"source": SOURCE, "proxy": str(proxy.url), "user_agent": "shop"})
    async with hosts(1) as (host, (first,)):
        names = Names("8.8.8.8")
        async with opened_fetcher(profiles=asked, resolver=names) as fetcher:
            assert await fetcher.fetch("http://public.example/a", source=SOURCE) is not None
            assert await fetcher.fetch(f"{first}/b") is not None
    assert proxy.asked == ["GET http://public.example/a"]
    assert b"User-Agent: shop" in proxy.heads[0]
    assert [path for path, _ in host.seen] == ["/b"]
