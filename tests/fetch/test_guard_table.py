"""G9 as a table: each way to a place that is not public, tried through the whole path, refused.

A canary listens where an attacker would like to get: whatever is tried, nothing connects to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from itertools import count

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from tests.support.addresses import REFUSED
from tests.support.fetching import Names, opened_fetcher
from triptych.errors import ItemError, PermanentItemError, SourceRefused
from triptych.fetch.guard import AddressGuard, refusal
from triptych.fetch.transport import TransportPool, open_session
from triptych.gather.source_registry import SourceRegistry
from triptych.model import Reason

pytestmark = pytest.mark.integration

PATIENCE_S = 30.0
SERVED = "127.9.9.9"
"""Stands for a public server: the only address that is allowed here."""
CANARY = "127.0.0.1"
ALLOW = (ip_network(f"{SERVED}/32"),)
BODY = b"image"
ADDRESSES = [address.partition("%")[0] for kind in REFUSED.values() for address in kind]
INSIDE = [
    *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.100.100.200"),
    *("168.63.129.16", "192.0.0.192", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.88.99.1"),
    *("::1", "::", "fe80::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::127.0.0.1"),
    *("2002:7f00:1::", "64:ff9b::10.0.0.1", "2001::1", "fec0::1", "2606:4700::5efe:10.0.0.1"),
]
"""What an attacker's name or redirect would lead to."""
SPELLINGS = [
    *("2130706433", "0x7f000001", "0X7F000001", "017700000001", "0x7f.1", "0177.0.0.1", "127.1"),
    *("127.0.1", "127.0.0.1.", "127.0.0.1..", "0x7f.0x0.0x0.0x1", "0177.0.0.0x1", "0", "0x0"),
    *("00000177.0.0.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"),
    *("①②⑦.⓪.⓪.①", "１２７.0.0.1", "127。0。0。1", "127．0．0．1", "0x⑦f.1", "[::ffff:7f00:1]"),
    *("[0:0:0:0:0:ffff:127.0.0.1]", "[::FFFF:A9FE:A9FE]", "LOCALHOST", "%31%32%37.1"),
    *("127%2e0%2E0%2e1", "%EF%BC%91%EF%BC%92%EF%BC%97.1", "loc%61lhost", "ｌｏｃａｌｈｏｓｔ"),
]
PORTS = [1, 22, 25, 53, 110, 2375, 3306, 5432, 6379, 8080, 8443, 9200, 11211, 27017, 65535]


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@dataclass
class Ground:
    """A server that may be reached, and a canary beside it that may not."""

    port: int
    hits: list[str] = field(default_factory=list)
    location: str = ""


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    made = Ground(0)

    async def get(request: web.Request) -> web.Response:
        made.hits.append(request.path)
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": made.location})
        return web.Response(body=BODY)

    def touched(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.hits.append("canary")
        writer.close()

    app = web.Application()
    app.router.add_get("/{any:.*}", get)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    # The canary chooses the port: on its address other servers of tests have theirs.
    canary = await asyncio.start_server(touched, CANARY, 0)
    try:
        made.port = canary.sockets[0].getsockname()[1]
        await runner.setup()
        await web.TCPSite(runner, SERVED, made.port).start()
        yield made
    finally:
        canary.close()
        await canary.wait_closed()
        await runner.cleanup()


@pytest.fixture
async def served() -> AsyncIterator[Ground]:
    async with ground() as made:
        yield made


async def refused(url: str, names: Names | None = None) -> str:
    """Fetch what must be refused; return the detail."""
    async with opened_fetcher(allow=ALLOW, resolver=names, deadline_s=PATIENCE_S) as fetcher:
        with pytest.raises(ItemError) as error:
            await fetcher.fetch(url)
    assert (type(error.value), error.value.reason) == (PermanentItemError, Reason.ADDRESS_REFUSED)
    return error.value.detail


@pytest.mark.parametrize("address", ADDRESSES)
async def test_g9_literal_addresses(address: str) -> None:
    detail = await refused(f"http://{bracketed(address)}/a.png")
    assert "not a public address" in detail


@pytest.mark.parametrize("host", SPELLINGS)
async def test_g9_spellings(host: str, served: Ground) -> None:
    detail = await refused(f"http://{host}:{served.port}/a.png")
    assert "not a public address" in detail
    assert served.hits == []


@pytest.mark.parametrize(
    "host",
    ["1.2.3.4.5", "256.1.1.1", "1.2.3.999", "0x1ffffffff", "08.1.1.1", "[::%31]", "127.0.0.1%00"],
)
async def test_g9_numbers_that_are_no_address_are_no_url(host: str) -> None:
    async with opened_fetcher(allow=ALLOW) as fetcher:
        with pytest.raises(PermanentItemError) as error:
            await fetcher.fetch(f"http://{host}/a.png")
    assert error.value.reason is Reason.INVALID_URL


@pytest.mark.parametrize("address", INSIDE)
async def test_g9_names_that_lead_inside(address: str, served: Ground) -> None:
    detail = await refused(f"http://inside.example:{served.port}/", Names(address))
    assert "inside.example" in detail
    assert served.hits == []


@pytest.mark.parametrize("address", INSIDE)
async def test_g9_redirects_that_lead_inside(address: str, served: Ground) -> None:
    served.location = f"http://{bracketed(address)}:{served.port}/latest/meta-data/"
    await refused(f"http://{SERVED}:{served.port}/away")
    assert served.hits == ["/away"]


@pytest.mark.parametrize("address", INSIDE)
async def test_g9_redirects_to_names_that_lead_inside(address: str, served: Ground) -> None:
    served.location = f"//metadata.example:{served.port}/"
    await refused(f"http://{SERVED}:{served.port}/away", Names(address))
    assert served.hits == ["/away"]


@pytest.mark.parametrize("port", PORTS)
async def test_g9_ports_of_other_services(port: int) -> None:
    for names, host in ((Names("8.8.8.8"), "public.example"), (None, "8.8.8.8")):
        detail = await refused(f"http://{host}:{port}/", names)
        assert f"port {port}" in detail


@pytest.mark.parametrize("userinfo", ["user@", "user:password@", ":password@", "8.8.8.8:80@"])
async def test_g9_credentials_in_urls(userinfo: str, served: Ground) -> None:
    url = f"http://{userinfo}{SERVED}:{served.port}/"
    assert await refused(url) == "credentials in the URL"
    served.location = url
    assert await refused(f"http://{SERVED}:{served.port}/away") == "credentials in the URL"
    assert served.hits == ["/away"]


class Flipping(Names):
    """Answers with the good address first, then the bad one, and so on: DNS rebinding."""

    def __init__(self, good: str, bad: str) -> None:
        self.answers = _Turns(good, bad)  # type: ignore[assignment]
        self.asked = []


class _Turns:
    def __init__(self, good: str, bad: str) -> None:
        self._turns: Iterator[int] = count()
        self._pair = (good, bad)

    def __bool__(self) -> bool:
        return True

    def pop(self, _index: int) -> list[str]:
        return [self._pair[next(self._turns) % 2]]


@pytest.mark.parametrize("bad", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1"])
async def test_g9_a_name_that_changes_its_answer(
    bad: str, served: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was checked is what is connected to; nothing is asked again in between."""
    monkeypatch.setattr("triptych.fetch.transport.DNS_CACHE_S", 0)
    names = Flipping(SERVED, bad)
    outcomes: list[Reason | None] = []
    for _ in range(6):
        async with opened_fetcher(allow=ALLOW, resolver=names) as fetcher:
            try:
                await fetcher.fetch(f"http://rebinding.example:{served.port}/a")
            except PermanentItemError as error:
                outcomes.append(error.reason)
            else:
                outcomes.append(None)
    assert outcomes == [None, Reason.ADDRESS_REFUSED] * 3
    assert served.hits == ["/a"] * 3
    assert len(names.asked) == 6


async def test_g9_a_name_stays_with_the_address_that_was_checked(served: Ground) -> None:
    """Many requests, the name's answer long changed: the first address is kept for a minute."""
    names = Flipping(SERVED, CANARY)
    async with opened_fetcher(allow=ALLOW, resolver=names) as fetcher:
        for _ in range(5):
            assert await fetcher.fetch(f"http://rebinding.example:{served.port}/a") is not None
    assert served.hits == ["/a"] * 5
    assert names.asked == ["rebinding.example"]


async def test_g9_of_mixed_answers_only_the_public_one_is_connected_to(served: Ground) -> None:
    names = Names([CANARY, SERVED, "::1"])
    async with opened_fetcher(allow=ALLOW, resolver=names) as fetcher:
        assert await fetcher.fetch(f"http://mixed.example:{served.port}/a") is not None
    assert served.hits == ["/a"]


async def test_what_is_allowed_passes_on_any_port_and_by_any_name(served: Ground) -> None:
    base = f"http://{SERVED}:{served.port}"
    served.location = "/b"
    async with opened_fetcher(allow=ALLOW, resolver=Names(SERVED)) as fetcher:
        for url in (base, f"{base}/away", f"http://good.example:{served.port}/c"):
            fetched = await fetcher.fetch(url)
            assert fetched is not None
            assert fetched.body == BODY
    assert served.hits == ["/", "/away", "/b", "/c"]


@pytest.mark.parametrize(
    ("ports", "port", "passes"),
    [
        ((), 80, True),
        ((), 443, True),
        ((), 8080, False),
        ((range(8080, 8081),), 8080, True),
        ((range(8080, 8081),), 8081, False),
        ((range(9000, 9011),), 9010, True),
    ],
)
def test_ports_that_are_set_are_reached(
    ports: tuple[range, ...], port: int, *, passes: bool
) -> None:
    guard = AddressGuard(ports=ports)
    for url in (f"https://8.8.8.8:{port}/", f"https://[2606:4700::1111]:{port}/"):
        if passes:
            guard.check_url(URL(url))
        else:
            with pytest.raises(PermanentItemError):
                guard.check_url(URL(url))


def places(served: Ground) -> list[tuple[str, Names | None]]:
    """Return ways inside: a literal, a name, a spelling, a redirect, a port."""
    served.location = f"http://{CANARY}:{served.port}/"
    return [
        (f"http://{CANARY}:{served.port}/x", None),
        (f"http://inside.example:{served.port}/x", Names(CANARY)),
        (f"http://0x7f.1:{served.port}/x", None),
        (f"http://{SERVED}:{served.port}/away", None),
        ("http://public.example:6379/x", Names("8.8.8.8")),
    ]


@pytest.mark.parametrize("kind", ["catalog", "feed", "manifest", "page", "sitemap"])
async def test_g9_sources_stand_behind_the_same_guard(kind: str, served: Ground) -> None:
    for url, names in places(served):
        transports = TransportPool(AddressGuard(ALLOW), limit=1, user_agent="test", resolver=names)
        try:
            source = SourceRegistry.discover().open(
                f"{kind}:{url}", transports=transports, token=None, page_rows=10
            )
            with pytest.raises(SourceRefused, match="TRIPTYCH_FETCH_ALLOW"):
                await anext(source.pages("nike", None))
        finally:
            await transports.close()
    assert [path for path in served.hits if path != "/robots.txt"] == ["/away"]


async def test_g9_every_other_session_stands_behind_it_too(served: Ground) -> None:
    """Webhooks, models, summaries and the balancer's keys: whoever follows redirects, or none."""
    for url, names in places(served):
        async with open_session(AddressGuard(ALLOW), limit=1, resolver=names) as session:
            with pytest.raises(aiohttp.ClientError) as error:
                await session.get(url)
        assert refusal(error.value) is not None
    assert served.hits == ["/away"]


@pytest.mark.parametrize("kind", ["catalog", "feed", "manifest", "page", "sitemap"])
async def test_g9_no_server_makes_a_source_send_credentials(kind: str, served: Ground) -> None:
    served.location = f"http://me:secret@{SERVED}:{served.port}/b"
    transports = TransportPool(AddressGuard(ALLOW), limit=1, user_agent="test")
    try:
        url = f"http://{SERVED}:{served.port}/away"
        source = SourceRegistry.discover().open(
            f"{kind}:{url}", transports=transports, token=None, page_rows=10
        )
        with pytest.raises(SourceRefused, match="credentials in the URL"):
            await anext(source.pages("nike", None))
    finally:
        await transports.close()
    assert [path for path in served.hits if path != "/robots.txt"] == ["/away"]
