"""The stores source against a service that pages, fails, moves and lies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web

from tests.support.list_gathering import Heart
from triptych.errors import SourceRefused, SourceUnavailable
from triptych.fetch.guard import AddressGuard
from triptych.fetch.request_profiles import Profiles
from triptych.fetch.transport import TransportPool
from triptych.gather.http_reader import MIDWAY_TRIES
from triptych.gather.lists import list_parsers
from triptych.gather.lists.list_parsers import ListParser
from triptych.gather.source import Page, Row
from triptych.gather.source_registry import SourceRegistry
from triptych.gather.source_token import SourceToken

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0
STANDS_STILL_S = 1.0
"""CPU time of this process between two turns of others; the server of these tests is in it, too."""
LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.gather.http_reader.BACKOFF_BASE_S", 0.001)


class Service:
    """Answers with what a test has put in, one answer a request; the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Callable[[web.Request], web.Response]] = []
        self.requests: list[web.Request] = []
        self.base = ""

    async def get(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(request)

    def says(self, *answers: Callable[[web.Request], web.Response]) -> None:
        self.answers = list(answers)


def page(count: int, cursor: str | None = None, start: int = 0) -> Callable[..., web.Response]:
    items = [{"url": f"https://x/{n}", "metadata": {"n": n}} for n in range(start, start + count)]
    return lambda _request: web.json_response({"items": items, "next": cursor})


def status(code: int, **headers: str) -> Callable[..., web.Response]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: web.Response(status=code, headers=named)


def text(body: str) -> Callable[..., web.Response]:
    return lambda _request: web.Response(text=body, content_type="application/json")


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    service = Service()
    app = web.Application()
    app.router.add_get("/{any:.*}", service.get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as opened:
        yield opened


async def pages(
    url: str,
    *,
    cursor: str | None = None,
    token: str | None = None,
    token_for: str | None = None,
    allow: Any = LOOPBACK,
    profiles: Profiles | None = None,
) -> list[Page]:
    transports = TransportPool(
        AddressGuard(allow), limit=5, user_agent="triptych-test", profiles=profiles
    )
    bound = SourceToken.bound(token, [token_for or url]) if token else None
    try:
        source = SourceRegistry.discover().open(
            f"catalog:{url}", transports=transports, token=bound, page_rows=10
        )
        async with asyncio.timeout(PATIENCE_S):
            return [page async for page in source.pages("H&M", cursor)]
    finally:
        await transports.close()


async def test_pages_are_followed_to_the_end(service: Service) -> None:
    service.says(page(2, "b"), page(2, "c", 2), page(1, None, 4))
    found = await pages(f"{service.base}/list?lang=en")
    assert [row for page in found for row in page.rows] == [
        Row(f"https://x/{n}", {"n": n}) for n in range(5)
    ]
    assert [page.cursor for page in found] == ["b", "c", None]
    assert [dict(request.query) for request in service.requests] == [
        {"lang": "en", "brand": "H&M"},
        {"lang": "en", "brand": "H&M", "cursor": "b"},
        {"lang": "en", "brand": "H&M", "cursor": "c"},
    ]


async def test_a_cursor_goes_on_where_it_was(service: Service) -> None:
    service.says(page(1))
    await pages(service.base, cursor="k")
    assert service.requests[0].query["cursor"] == "k"


@pytest.mark.parametrize("code", [408, 429, 500, 503])
async def test_passing_failures_are_tried_again(service: Service, code: int) -> None:
    service.says(status(code), status(code, Retry_After="0"), page(3))
    (found,) = await pages(service.base)
    assert len(found.rows) == 3


async def test_a_service_that_stays_away_is_unavailable(service: Service) -> None:
    service.says(status(503))
    with pytest.raises(SourceUnavailable, match="HTTP 503"):
        await pages(service.base)


async def test_a_long_retry_after_is_left_to_the_queue(service: Service) -> None:
    service.says(status(429, Retry_After="900"))
    with pytest.raises(SourceUnavailable) as error:
        await pages(service.base)
    assert error.value.retry_after_s == 900
    assert len(service.requests) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 204])
async def test_other_answers_are_refused_with_the_remedy(service: Service, code: int) -> None:
    service.says(status(code))
    with pytest.raises(SourceRefused, match=rf"HTTP {code}.*TRIPTYCH_SOURCE_TOKEN"):
        await pages(service.base)


@pytest.mark.parametrize(
    "body",
    [
        *("", "<html>", "[]", '{"items": {}}', '{"items": [], "next": 7}', '{"urls": []}'),
        r'{"items": [], "next": "\ud800"}',
    ],
)
async def test_a_page_of_another_shape_is_refused_and_the_shape_told(
    service: Service, body: str
) -> None:
    service.says(text(body))
    with pytest.raises(SourceRefused, match=r'cannot be read.*\{"items"') as error:
        await pages(service.base)
    assert "middle" not in str(error)
    assert "\n" not in str(error.value)


CUT = '{"items": [{"url": "https://x/1", "metadata": {"n": 1}}, {"url": "https'


@pytest.mark.parametrize(
    "mishap",
    [
        text(CUT),
        text(""),
        text("<html><body>Bad gateway</body></html>"),
        text('{"error": "internal"}'),
        *(status(code) for code in (400, 401, 403, 404, 410)),
    ],
)
async def test_a_mishap_in_the_middle_of_a_list_is_tried_again(
    service: Service, mishap: Callable[..., web.Response]
) -> None:
    service.says(page(2, "b"), mishap, mishap, page(2, "c", 2), mishap, page(1, None, 4))
    found = await pages(service.base)
    assert [row.url for page in found for row in page.rows] == [f"https://x/{n}" for n in range(5)]
    assert [request.query.get("cursor") for request in service.requests] == [
        *(None, "b", "b", "b", "c", "c")
    ]


async def test_a_first_page_that_is_cut_is_tried_again(service: Service) -> None:
    service.says(text(CUT), text(""), page(2))
    ((first, second),) = [page.rows for page in await pages(service.base)]
    assert (first.url, second.url) == ("https://x/0", "https://x/1")


@pytest.mark.parametrize("first", [status(404), status(401), text('{"urls": []}')])
async def test_a_brand_that_a_service_does_not_know_is_refused_at_once(
    service: Service, first: Callable[..., web.Response]
) -> None:
    service.says(first)
    with pytest.raises(SourceRefused):
        await pages(service.base)
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("mishap", "said"),
    [
        (text(CUT), r"cannot be read .*, 8 times in the middle of its list\. It must be"),
        (status(404), r"HTTP 404, 8 times in the middle of its list\. Check its URL"),
    ],
)
async def test_g3_what_stays_so_is_refused_and_nothing_else(
    service: Service, mishap: Callable[..., web.Response], said: str
) -> None:
    """Never as the end of the list: half of a brand would replace the whole."""
    service.says(page(2, "b"), mishap)
    with pytest.raises(SourceRefused, match=said):
        await pages(service.base)
    assert len(service.requests) == 1 + MIDWAY_TRIES


async def test_a_list_that_goes_on_at_a_cursor_is_in_its_middle(service: Service) -> None:
    service.says(status(404), page(1))
    assert len(await pages(service.base, cursor="k")) == 1


@pytest.mark.parametrize(("at", "to"), [(at, to) for at in range(1, 5) for to in range(1, at + 1)])
async def test_g13_a_cursor_that_goes_back_once_is_refused_or_whole(
    service: Service, at: int, to: int
) -> None:
    """Six pages; at one of them the cursor leads back, the first time that it is read."""
    went_back = False

    def answer(request: web.Request) -> web.Response:
        nonlocal went_back
        number = int(request.query.get("cursor", "0"))
        following: int | None = number + 1 if number < 5 else None
        if number == at and not went_back:
            went_back, following = True, to
        cursor = None if following is None else str(following)
        return page(1, cursor, number)(request)

    service.says(answer)
    seen: set[str] = set()
    with suppress(SourceRefused):
        seen = {row.url for page in await pages(service.base) for row in page.rows}
    assert len(seen) in (0, 6), "refused or whole"
    assert went_back


async def test_a_malformed_item_fails_by_itself(service: Service) -> None:
    service.says(
        text('{"items": ["x", null, {"url": 7}, {"url": "https://x/1", "metadata": []}, {}]}')
    )
    (found,) = await pages(service.base)
    assert [row.url for row in found.rows] == [
        '"x"',
        "null",
        '{"url": 7}',
        "https://x/1",
        "{}",
    ]
    assert all(row.metadata == {} for row in found.rows)


async def test_g3_a_circle_of_cursors_ends(service: Service) -> None:
    service.says(page(1, "a"), page(1, "b"), page(1, "a"))
    with pytest.raises(SourceRefused, match="was returned twice"):
        await pages(service.base)


async def test_g8_a_page_too_large_is_not_read(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.gather.sources.catalog.PAGE_MAX_BYTES", 1000)
    service.says(page(100))
    with pytest.raises(SourceRefused, match="larger than 1000 bytes"):
        await pages(service.base)


ITEM = b'{"url": "https://x/1", "metadata": {}},'
LARGE = {
    # What took seven seconds of the event loop, and a gigabyte.
    "items that are none": (b"1," * 5_000_000, "has 5000001 items; 100000 are read"),
    "items": (ITEM * 150_000, "has 150001 items; 100000 are read"),
    "values": (b"[]," * 10_000_000, r"some \d+ values; 6000000 are read"),
}


@pytest.mark.parametrize("items", LARGE)
async def test_g8_a_page_of_too_many_items_is_refused_while_others_go_on(
    service: Service, items: str
) -> None:
    content, says = LARGE[items]
    body = b'{"items": [' + content + b'1], "next": null}'
    service.says(lambda _request: web.Response(body=body, content_type="application/json"))
    heart = Heart()
    beating = asyncio.create_task(heart.run())
    with pytest.raises(SourceRefused, match=f"{says}.*fewer items per page"):
        await pages(service.base)
    beating.cancel()
    assert len(service.requests) == 1
    assert heart.longest_s < STANDS_STILL_S


async def test_g8_a_large_page_is_read_in_parts_by_one_parser(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    class Counted(ListParser):
        def __init__(self) -> None:
            super().__init__()
            started.append(self.pid)

    monkeypatch.setattr(list_parsers, "ListParser", Counted)
    service.says(page(60_000, "b"), page(2, "c", 60_000), page(1, None, 60_002))
    heart = Heart()
    beating = asyncio.create_task(heart.run())
    found = await pages(service.base)
    beating.cancel()
    assert [row.url for each in found for row in each.rows] == [
        f"https://x/{n}" for n in range(60_003)
    ]
    assert [len(each.rows) for each in found] == [60_000, 2, 1]
    assert len(started) == 1
    assert heart.longest_s < STANDS_STILL_S


async def test_g8_an_item_that_is_too_large_fails_by_itself(service: Service) -> None:
    large = {"url": "https://x/1", "metadata": {"text": "x" * 2_000_000}}
    good = {"url": "https://x/2"}
    service.says(lambda _: web.json_response({"items": [large, good], "next": None}))
    ((first, second),) = [each.rows for each in await pages(service.base)]
    assert (first.url, first.problem[:15]) == ("https://x/1", "It has 2000045 ")
    assert second == Row("https://x/2", {})


async def test_g8_a_page_that_needs_too_much_memory_is_refused_for_good(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.gather.sources.catalog.MEMORY_MAX_BYTES", 96 * 1024 * 1024)
    text = "x" * 25_000_000
    service.says(page(3, "b"), lambda _: web.json_response({"items": [text], "next": None}))
    with pytest.raises(SourceRefused, match="more than 96 MiB of memory"):
        await pages(service.base)


async def test_g9_the_token_goes_to_its_own_host_only(service: Service) -> None:
    async with serving() as other:
        moved = status(302, Location=f"{other.base}/elsewhere")
        service.says(status(302, Location="/here"), moved)
        other.says(page(1))
        await pages(service.base, token="s3cret")
        assert [r.headers.get("Authorization") for r in service.requests] == ["Bearer s3cret"] * 2
        assert [r.headers.get("Authorization") for r in other.requests] == [None]


async def test_g9_another_service_than_the_tokens_own_does_not_get_it(service: Service) -> None:
    service.says(page(1))
    await pages(service.base, token="s3cret", token_for="https://catalogue.example.com")
    assert [r.headers.get("Authorization") for r in service.requests] == [None]


async def test_g9_a_source_at_a_private_address_is_refused(service: Service) -> None:
    service.says(page(1))
    for url in (service.base, service.base.replace("127.0.0.1", "localhost")):
        with pytest.raises(SourceRefused, match=r"not a public.*TRIPTYCH_FETCH_ALLOW"):
            await pages(url, allow=())
    assert service.requests == []
