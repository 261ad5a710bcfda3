"""What stands in requests: the text of the URL as it was given, wherever it comes from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from yarl import URL

from tests.support.fetching import Names, opened_fetcher
from triptych.errors import PermanentItemError
from triptych.gather.urls import normalise
from triptych.model import Reason

pytestmark = pytest.mark.integration

PATIENCE_S = 30.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nimage"
TARGETS = [
    ("/a.jpg?txt=Sale%2C+now&w=1&s=9a61", "/a.jpg?txt=Sale%2C+now&w=1&s=9a61"),
    ("/a.jpg?cred=KEY%2F2026%2fs3&to=a/b,c:d@e", "/a.jpg?cred=KEY%2F2026%2fs3&to=a/b,c:d@e"),
    ("/c_fill,w_400/%2C%3d%7E~!$&'()*+;=:@.jpg", "/c_fill,w_400/%2C%3d%7E~!$&'()*+;=:@.jpg"),
    ("/100%.jpg?q=%&r=%zz", "/100%.jpg?q=%&r=%zz"),
    ("/a%252fb//c/%E4/%00?x=%E4", "/a%252fb//c/%E4/%00?x=%E4"),
    ("/[a]|b?[c]|{d}`\\", "/[a]|b?[c]|{d}`\\"),
    ("/?", "/?"),
    ("/a?", "/a?"),
    ("/a??b=?", "/a??b=?"),
    ("/über.jpg?größe=1 2", "/%C3%BCber.jpg?gr%C3%B6%C3%9Fe=1%202"),
    ("/a.jpg?b#zoom", "/a.jpg?b"),
    ("/a\\b/../c/./%2e/d", "/a/c/d"),
]


class Server:
    """Writes down the head of each request, and answers what it is told to."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.locations: list[bytes] = []
        self.port = 0

    @property
    def targets(self) -> list[str]:
        return [head.split(" ")[1] for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(PATIENCE_S):
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
            location = self.locations.pop(0) if self.locations else None
            head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: "
            writer.write(OK if location is None else head + location + b"\r\n\r\n")
            await writer.drain()
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield made


@pytest.mark.parametrize(("text", "target"), TARGETS)
async def test_a_url_is_sent_as_it_was_given(server: Server, text: str, target: str) -> None:
    url = f"http://127.0.0.1:{server.port}"
    async with opened_fetcher() as fetcher:
        fetched = await fetcher.fetch(normalise(url + text))
    assert server.targets == [target]
    assert fetched is not None
    assert fetched.final_url == url + target


@pytest.mark.parametrize(("text", "target"), TARGETS)
async def test_a_location_is_sent_as_it_was_given(server: Server, text: str, target: str) -> None:
    server.locations = [text.encode(), f"http://127.0.0.1:{server.port}{text}".encode()]
    async with opened_fetcher() as fetcher:
        await fetcher.fetch(f"http://127.0.0.1:{server.port}/first/?x")
    assert server.targets == ["/first/?x", target, target]


async def test_bytes_of_a_location_that_are_not_utf_8_are_sent(server: Server) -> None:
    server.locations = [b"/\xfcber.jpg?\xe9"]
    async with opened_fetcher() as fetcher:
        await fetcher.fetch(f"http://127.0.0.1:{server.port}/")
    assert server.targets == ["/", "/%FCber.jpg?%E9"]


@pytest.mark.parametrize(("text", "target"), TARGETS)
async def test_a_proxy_is_given_the_url_as_it_was_given(
    server: Server, text: str, target: str
) -> None:
    proxy = URL(f"http://127.0.0.1:{server.port}")
    async with opened_fetcher(allow=(), proxy=proxy, resolver=Names("8.8.8.8")) as fetcher:
        await fetcher.fetch(normalise(f"http://Public.example:80{text}"))
    assert server.targets == [f"http://public.example{target}"]


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        ("bücher.example", "xn--bcher-kva.example"),
        ("STRAßE.example", "xn--strae-oqa.example"),
        ("i❤.example", "xn--i-7iq.example"),
        ("a_b.Example", "a_b.example"),
        ("dot.Example.", "dot.example."),
    ],
)
async def test_the_host_is_sent_and_resolved_in_a_labels(
    server: Server, host: str, sent: str
) -> None:
    names = Names("127.0.0.1", "127.0.0.1")
    async with opened_fetcher(resolver=names, robots=True) as fetcher:
        await fetcher.fetch(normalise(f"http://{host}:{server.port}/%2c"))
    assert server.targets == ["/robots.txt", "/%2c"]
    assert all(f"\r\nHost: {sent}:{server.port}\r\n" in head for head in server.heads)
    assert set(names.asked) == {sent}


@pytest.mark.parametrize(
    "location", [b"http://a b/", b"http://h:99999/", b"http://1.2.3.4.5/", b"http://[::1/"]
)
async def test_a_location_that_browsers_refuse_is_named(server: Server, location: bytes) -> None:
    server.locations = [location]
    async with opened_fetcher() as fetcher:
        with pytest.raises(PermanentItemError, match=r"its (host|port) .* (not|no) ") as error:
            await fetcher.fetch(f"http://127.0.0.1:{server.port}/")
    assert error.value.reason is Reason.INVALID_URL


async def test_an_invalid_url_is_refused_before_its_slot() -> None:
    async with opened_fetcher() as fetcher:
        with pytest.raises(PermanentItemError) as error:
            await fetcher.slot("http://a b/")
    assert error.value.reason is Reason.INVALID_URL
