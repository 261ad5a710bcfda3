"""The source ``page`` against sites that link in circles, redirect, opt out, fail and never end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import pytest
from aiohttp import web

from tests.support.site_server import Answer, Site, fails, leads_to, says, site
from triptych.errors import SourceRefused, SourceUnavailable
from triptych.fetch.guard import AddressGuard
from triptych.fetch.host_throttle import PACE_MAX_S
from triptych.fetch.transport import TransportPool
from triptych.gather.source import Page, Row
from triptych.gather.source_check import check_source
from triptych.gather.source_registry import SourceRegistry
from triptych.gather.sources import page
from triptych.gather.sources.page import PAGE, Scope, split_place
from triptych.testing.collect import LOOPBACK, collect, opened

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.gather.http_reader.BACKOFF_BASE_S", 0.001)
    monkeypatch.setattr(page, "PAUSE_S", 0.0)


@pytest.fixture
async def shop() -> AsyncIterator[Site]:
    async with site() as served:
        yield served


def html(*links: str, pictures: Sequence[str] = (), head: str = "") -> Answer:
    body = "".join(f"<img src='{name}'>" for name in pictures)
    body += "".join(f"<a href='{link}'>x</a>" for link in links)
    return says(f"<!doctype html><html><head>{head}</head><body>{body}</body></html>")


async def rows(place: str, page_rows: int = 100) -> Sequence[Row]:
    async with opened(PAGE, place, page_rows=page_rows) as source:
        return (await collect(source)).rows


async def once(place: str, **options: object) -> Sequence[Row]:
    """Read a site once, without its cursors."""
    transports = TransportPool(AddressGuard(LOOPBACK), limit=2, user_agent="triptych-testing")
    try:
        source = SourceRegistry([PAGE]).open(
            f"page:{place}",
            transports=transports,
            token=None,
            page_rows=100,
            **options,  # type: ignore[arg-type]
        )
        return [row async for found in source.pages("b", None) for row in found.rows]
    finally:
        await transports.close()


def names(shop: Site, found: Sequence[Row]) -> list[str]:
    return [row.url.removeprefix(f"{shop.base}/") for row in found if not row.refused]


def refused(found: Sequence[Row]) -> list[str]:
    return [row.refused for row in found if row.refused]


def pages_asked(shop: Site) -> list[str]:
    return [path for path in shop.asked if path != "/robots.txt"]


@pytest.mark.parametrize("page_rows", [1, 2, 100])
async def test_a_site_is_read_breadth_first_and_from_every_cursor(
    shop: Site, page_rows: int
) -> None:
    shop.has("/", html("/a", "/b", "/", pictures=["1.jpg"]))
    shop.has("/a", html("/deep", "/b", "/a#top", pictures=["2.jpg", "3.jpg", "4.jpg"]))
    shop.has("/b", html("/", "/a", pictures=["5.jpg"]))
    shop.has("/deep", html("/a", pictures=["6.jpg"]))
    found = await rows(shop.base, page_rows)
    assert names(shop, found) == [f"{n}.jpg" for n in range(1, 7)]
    assert refused(found) == []
    assert found[1].metadata == {"page": shop.url("/a"), "found_in": "img"}


async def test_a_crash_requests_no_page_again_that_was_done(shop: Site) -> None:
    shop.has("/", html("/a", "/b", pictures=["1.jpg"]))
    shop.has("/a", html(pictures=["2.jpg"]))
    shop.has("/b", html(pictures=["3.jpg"]))
    async with opened(PAGE, shop.base) as source:
        found: list[Page] = [each async for each in source.pages("b", None)]
        shop.requests.clear()
        rest = [row.url async for each in source.pages("b", found[1].cursor) for row in each.rows]
    assert rest == [shop.url("/3.jpg")]
    assert pages_asked(shop) == ["/b"]


async def test_the_same_page_is_requested_once(shop: Site) -> None:
    shop.has("/", html("/a", "/a#b", "./a", "/moved", "/c/../a", pictures=["1.jpg"]))
    shop.has("/a", html("/moved", "/new", pictures=["2.jpg"]))
    shop.has("/moved", leads_to("/new", 301))
    shop.has("/new", html(pictures=["3.jpg"]))
    found = await once(shop.base)
    assert names(shop, found) == ["1.jpg", "2.jpg", "3.jpg"]
    assert sorted(pages_asked(shop)) == ["/", "/a", "/moved", "/new"]


async def test_depth_and_number_are_limits_and_what_they_cut_is_counted(shop: Site) -> None:
    shop.has("/", html(*(f"/{n}" for n in range(6)), pictures=["a.jpg"]))
    for n in range(6):
        shop.has(f"/{n}", html(f"/{n}/x", f"/{n}/y"))
    found = await rows(f"{shop.base}/#depth=1&pages=4")
    assert names(shop, found) == ["a.jpg"]
    assert refused(found) == [
        "6 links lead to pages more than 1 links from the start (#depth=), and were not followed.",
        "3 links lead to more pages than the 4 that are read (#pages=), and were not followed.",
    ]
    assert set(pages_asked(shop)) == {"/", "/0", "/1", "/2"}
    shop.requests.clear()
    assert names(shop, await once(f"{shop.base}/#depth=0")) == ["a.jpg"]
    assert pages_asked(shop) == ["/"]


async def test_g3_a_site_without_end_is_read_to_its_limit(shop: Site) -> None:
    def endless(request: web.Request) -> web.StreamResponse:
        links = (f"{request.path.rstrip('/')}/{n}" for n in range(9))
        return html(*links, pictures=["a.jpg"])(request)

    shop.has("/robots.txt", fails(404))
    shop.otherwise = endless
    found = await once(f"{shop.base}/#depth=10&pages=15")
    assert len([row for row in found if not row.refused]) == 15
    assert refused(found) == [
        "121 links lead to more pages than the 15 that are read (#pages=), and were not followed."
    ]


async def test_other_hosts_are_read_only_if_they_are_named(shop: Site) -> None:
    async with site() as other:
        shop.has("/", html(other.url("/x"), "http://user:pw@127.0.0.1/", pictures=["a.jpg"]))
        other.has("/x", html(pictures=["b.jpg"]))
        found = await once(shop.base)
        assert names(shop, found) == ["a.jpg"]
        assert refused(found) == ["2 links lead to other hosts (#host=), and were not followed."]
        assert other.requests == []
        found = await once(f"{shop.base}/#host={other.base}")
        assert [row.url for row in found if row.url] == [shop.url("/a.jpg"), other.url("/b.jpg")]


async def test_a_redirect_to_another_host_is_not_followed(shop: Site) -> None:
    async with site() as other:
        other.has("/", html(pictures=["b.jpg"]))
        shop.has("/", html("/out", pictures=["a.jpg"]))
        shop.has("/out", leads_to(other.url("/")))
        shop.has("/start", leads_to(other.url("/")))
        found = await once(shop.base)
        assert names(shop, found) == ["a.jpg"]
        assert refused(found) == [
            f"The page is not read: It redirects to another place, {other.url('/')}."
        ]
        with pytest.raises(SourceRefused, match=rf"another host.*Write page:{other.url('/')}"):
            await once(shop.url("/start"))
        assert other.requests == []


async def test_robots_txt_is_kept_for_pages_and_for_redirects(shop: Site) -> None:
    rules = "User-agent: triptych\nDisallow: /secret\nUser-agent: *\nDisallow: /"
    shop.has("/robots.txt", says(rules, "text/plain"))
    shop.has("/", html("/secret/1", "/go", "/open", pictures=["a.jpg"]))
    shop.has("/go", leads_to("/secret/2"))
    shop.has("/open", html(pictures=["b.jpg"]))
    found = await rows(shop.base)
    assert names(shop, found) == ["a.jpg", "b.jpg"]
    why = "The page is not read: The robots.txt of 127.0.0.1 disallows it."
    assert refused(found) == [why, why]
    assert not [path for path in shop.asked if path.startswith("/secret")]
    with pytest.raises(SourceRefused, match="disallows it"):
        await once(shop.url("/secret/1"))
    assert shop.asked.count("/robots.txt") >= 1


async def test_a_deployer_may_turn_robots_and_opt_outs_off(shop: Site) -> None:
    shop.has("/robots.txt", says("User-agent: *\nDisallow: /", "text/plain"))
    shop.has("/", html(pictures=["a.jpg"], head="<meta name=robots content=noai>"))
    with pytest.raises(SourceRefused, match="disallows it"):
        await once(shop.base)
    with pytest.raises(SourceRefused, match="No picture was found"):
        await once(shop.base, robots=False)
    shop.requests.clear()
    assert names(shop, await once(shop.base, robots=False, opt_outs=False)) == ["a.jpg"]
    assert shop.asked == ["/"]


async def test_a_robots_txt_that_is_away_disallows_everything_for_now(shop: Site) -> None:
    shop.has("/robots.txt", fails(503))
    shop.has("/", html(pictures=["a.jpg"]))
    with pytest.raises(SourceUnavailable, match=r"robots\.txt"):
        await once(shop.base)
    assert pages_asked(shop) == []


async def test_a_sites_pace_is_kept(shop: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.has("/robots.txt", says("User-agent: *\nCrawl-delay: 0.3", "text/plain"))
    shop.has("/", html("/a", "/b", pictures=["a.jpg"]))
    shop.has("/a", html())
    shop.has("/b", html())
    begun = time.monotonic()
    await once(shop.base)
    assert time.monotonic() - begun >= 0.6
    shop.has("/robots.txt", fails(404))
    monkeypatch.setattr(page, "PAUSE_S", 0.2)
    begun = time.monotonic()
    await once(shop.base)
    assert time.monotonic() - begun >= 0.4
    assert page.PAUSE_S < PACE_MAX_S


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (fails(404), "The source answers with HTTP 404."),
        (fails(500), "It answers with HTTP 500."),
        (says("%PDF", "application/pdf"), "It is application/pdf, no web page."),
        (says("x" * 3000), "larger than 2000 bytes"),
        (leads_to("/odd"), "more than 5 redirects"),
        (leads_to("http://10.0.0.1/"), "address that is refused"),
        (html(pictures=["no.jpg"], head="<meta name=robots content=noindex>"), "opts out"),
        (says("<img src=no.jpg>", X_Robots_Tag="noai"), "opts out of its use (X-Robots-Tag: noai)"),
    ],
    ids=["404", "500", "pdf", "large", "circle", "private", "meta", "header"],
)
async def test_g8_a_page_that_cannot_be_read_is_counted_and_the_others_are_read(
    shop: Site, answer: Answer, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PAGE_MAX_BYTES", 2000)
    shop.has("/", html("/odd", "/good", pictures=["a.jpg"]))
    shop.has("/odd", answer)
    shop.has("/good", html(pictures=["b.jpg"]))
    found = await once(shop.base)
    assert names(shop, found) == ["a.jpg", "b.jpg"]
    (said,) = refused(found)
    assert why in said


async def test_g8_a_page_that_takes_its_parser_down_is_counted_and_the_others_are_read(
    shop: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.gather.document_reader.MEMORY_MAX_BYTES", 120 * 1024 * 1024)
    monkeypatch.setattr(page, "PAGE_MAX_BYTES", 200 * 1024 * 1024)
    shop.has("/", html("/bomb", "/good", pictures=["a.jpg"]))
    shop.has("/bomb", says(b"<p>" + b" " * 80_000_000))
    shop.has("/good", html(pictures=["b.jpg"]))
    found = await once(shop.base)
    assert names(shop, found) == ["a.jpg", "b.jpg"]
    (said,) = refused(found)
    assert "memory" in said


async def test_a_site_with_an_outage_is_tried_again_later_from_where_it_was(
    shop: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "FAILED_MAX", 1)
    shop.has("/", html("/1", "/2", "/3", pictures=["a.jpg"]))
    shop.has("/1", fails(503))
    shop.has("/2", fails(503))
    shop.has("/3", html(pictures=["b.jpg"]))
    read: list[Page] = []

    async def read_on() -> None:
        async for each in source.pages("b", None):
            read.append(each)  # noqa: PERF401 - what was read before it fails is kept

    async with opened(PAGE, shop.base) as source:
        with pytest.raises(SourceUnavailable):
            await read_on()
        cursor = read[-1].cursor
        shop.has("/2", html(pictures=["c.jpg"]))
        shop.requests.clear()
        rest = [row async for each in source.pages("b", cursor) for row in each.rows]
    assert names(shop, rest) == ["c.jpg", "b.jpg"]
    assert pages_asked(shop) == ["/2", "/3"]


async def test_a_site_that_throttles_is_left_to_the_queue(shop: Site) -> None:
    shop.has("/", html("/1", pictures=["a.jpg"]))
    shop.has("/1", fails(429, Retry_After="900"))
    with pytest.raises(SourceUnavailable) as away:
        await once(shop.base)
    assert away.value.retry_after_s == 900


async def test_a_link_to_a_picture_without_an_ending_is_a_picture(shop: Site) -> None:
    shop.has("/", html("/media/17", pictures=["a.jpg"]))
    shop.has("/media/17", says(b"\xff\xd8", "image/jpeg"))
    assert names(shop, await once(shop.base)) == ["a.jpg", "media/17"]


async def test_what_the_server_wants_not_followed_is_not(shop: Site) -> None:
    nofollow = says(
        "<img src=a.jpg><a href=/x>x</a>", X_Robots_Tag="otherbot: none, triptych: nofollow"
    )
    shop.has("/", nofollow)
    found = await once(shop.base)
    assert names(shop, found) == ["a.jpg"]
    assert refused(found) == [
        "1 links are not followed: the page asks for it (X-Robots-Tag: nofollow)."
    ]
    assert pages_asked(shop) == ["/"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (fails(403), "HTTP 403"),
        (says("{}", "application/json"), "application/json, no web page"),
        (says("<p>Words only"), "No picture was found on the 1 pages.*scripts"),
    ],
    ids=["403", "json", "words"],
)
async def test_a_start_that_gives_nothing_is_refused_with_the_remedy(
    shop: Site, answer: Answer, why: str
) -> None:
    shop.has("/", answer)
    with pytest.raises(SourceRefused, match=why):
        await once(shop.base)


async def test_pictures_at_private_addresses_are_listed_and_left_to_the_guard(shop: Site) -> None:
    shop.has("/", html(pictures=["http://169.254.169.254/x.jpg", "http://[::1]/y.jpg"]))
    found = await once(shop.base)
    assert [row.url for row in found] == ["http://169.254.169.254/x.jpg", "http://[::1]/y.jpg"]


async def test_g9_a_private_site_is_refused(shop: Site) -> None:
    shop.has("/", html(pictures=["a.jpg"]))
    with pytest.raises(SourceRefused, match="address that is refused"):
        async with opened(PAGE, shop.base, allow=()) as source:
            await collect(source)
    assert shop.requests == []


async def test_g9_the_token_goes_to_the_start_s_origin_only(shop: Site) -> None:
    async with site() as other:
        shop.has("/", html("/a", other.url("/x"), pictures=["a.jpg"]))
        shop.has("/a", leads_to(other.url("/y")))
        other.has("/x", html())
        other.has("/y", html())
        async with opened(PAGE, f"{shop.base}/#host={other.base}", token="s3cret") as source:
            async with asyncio.timeout(30):
                _ = [each async for each in source.pages("b", None)]
    for request in (*shop.requests, *other.requests):
        mine = request.host == shop.base.removeprefix("http://") and request.path != "/robots.txt"
        assert request.headers.get("Authorization") == ("Bearer s3cret" if mine else None)
    assert len(other.requests) == 3


async def test_a_check_shows_what_a_run_would_take(shop: Site) -> None:
    shop.has("/", html("https://else.example/", pictures=["a.jpg", "a.jpg", "b.jpg"]))
    async with opened(PAGE, shop.base) as source:
        found = await check_source(source, f"page:{shop.base}", None)
    assert (found.rows_read, found.items, found.rows_refused, found.whole) == (3, 2, 1, True)


def test_a_place_has_its_limits_behind_it() -> None:
    assert split_place("https://a.example/x#top") == ("https://a.example/x", Scope())
    assert split_place("a.example#depth=1&pages=50&host=b.example&host=c.example") == (
        "a.example",
        Scope(1, 50, ("b.example", "c.example")),
    )
    named = SourceRegistry([PAGE]).check("page:a.example/x#depth=1")
    assert named.place.text == "https://a.example/x"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("https://a.example/#dept=1", "no option dept.*depth, pages and host"),
        ("https://a.example/#depth=11", "depth is a number from 0 to 10"),
        ("https://a.example/#depth=-1", "depth is a number"),
        ("https://a.example/#pages=0", "pages is a number from 1 to"),
        ("https://a.example/#pages=x", "pages is a number"),
        ("https://a.example/#host=b.example/x", "a host alone"),
        ("https://a.example/#host=", "is not the URL of a site"),
        ("https://a.example/#" + "&".join(f"host=h{n}.example" for n in range(21)), "20 further"),
        ("ftp://a.example", "is not the URL of a site"),
        ("https://u:p@a.example", "header of a profile"),
    ],
)
def test_a_place_that_is_none_is_refused_by_name(place: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        PAGE.check(place)
