"""The source ``sitemap`` against sitemaps that are plain, nested, packed, broken and lying."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Sequence
from functools import cache

import pytest

from tests.support.list_bombs import gzipped
from tests.support.site_server import Site, fails, leads_to, says, site, xml
from triptych.errors import SourceRefused, SourceUnavailable
from triptych.gather.source import Page, Row
from triptych.gather.source_check import check_source
from triptych.gather.source_registry import SourceRegistry
from triptych.gather.sources import sitemap
from triptych.gather.sources.sitemap import SITEMAP
from triptych.testing.collect import collect, opened

pytestmark = pytest.mark.integration

NAMES = (
    'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" '
    'xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"'
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.gather.http_reader.BACKOFF_BASE_S", 0.001)


@pytest.fixture
async def shop() -> AsyncIterator[Site]:
    async with site() as served:
        yield served


def entry(page: str, *pictures: str) -> str:
    images = "".join(f"<image:image><image:loc>{url}</image:loc></image:image>" for url in pictures)
    return f"<url><loc>https://shop.example/{page}</loc>{images}</url>"


def urlset(*entries: str) -> str:
    return f"<urlset {NAMES}>{''.join(entries)}</urlset>"


def index(*sitemaps: str) -> str:
    inner = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in sitemaps)
    return f"<sitemapindex {NAMES}>{inner}</sitemapindex>"


def pictures(first: int, count: int) -> str:
    return urlset(*(entry(f"p{n}", f"https://cdn.example/{n}.jpg") for n in range(first, count)))


@cache
def packed_bomb() -> bytes:
    return gzipped(b"<urlset>", b" " * 10_000_000, 8)


async def rows(place: str, page_rows: int = 100) -> Sequence[Row]:
    async with opened(SITEMAP, place, page_rows=page_rows) as source:
        return (await collect(source)).rows


async def once(place: str) -> Sequence[Row]:
    """Read a site once, without its cursors."""
    async with opened(SITEMAP, place) as source:
        return [row async for page in source.pages("b", None) for row in page.rows]


def refused(found: Sequence[Row]) -> list[str]:
    return [row.refused for row in found if row.refused]


async def test_each_picture_has_what_is_said_of_it(shop: Site) -> None:
    body = urlset(
        "<url><loc>https://shop.example/shoe</loc><lastmod>2026-11-01</lastmod>"
        "<image:image><image:loc>https://cdn.example/a.jpg?v=1&amp;w=2</image:loc>"
        "<image:title>Side</image:title><image:caption>A shoe &amp; its sole</image:caption>"
        "</image:image>"
        "<image:image><image:loc>//cdn.example/b.jpg</image:loc></image:image></url>"
    )
    shop.has("/sitemap.xml", xml(body))
    found = await rows(shop.url("/sitemap.xml"))
    page = {"page": "https://shop.example/shoe", "lastmod": "2026-11-01"}
    assert found == [
        Row(
            "https://cdn.example/a.jpg?v=1&w=2",
            {**page, "title": "Side", "caption": "A shoe & its sole"},
            "entry 1",
        ),
        Row("http://cdn.example/b.jpg", page, "entry 1"),
    ]


@pytest.mark.parametrize("page_rows", [1, 2, 100])
async def test_an_index_is_read_in_order_and_from_every_cursor(shop: Site, page_rows: int) -> None:
    shop.has("/index.xml", xml(index(shop.url("/a.xml"), shop.url("/more.xml"), "b.xml.gz")))
    shop.has("/a.xml", xml(pictures(0, 3)))
    shop.has("/more.xml", xml(index(shop.url("/c.xml"))))
    shop.has("/c.xml", xml(pictures(3, 5)))
    shop.has("/b.xml.gz", says(gzip.compress(pictures(5, 8).encode()), "application/gzip"))
    found = await rows(shop.url("/index.xml"), page_rows)
    assert [row.url for row in found] == [f"https://cdn.example/{n}.jpg" for n in range(8)]


async def test_a_crash_reads_no_sitemap_again_that_was_done(shop: Site) -> None:
    shop.has("/index.xml", xml(index(*(shop.url(f"/{n}.xml") for n in range(3)))))
    for n in range(3):
        shop.has(f"/{n}.xml", xml(pictures(n, n + 1)))
    async with opened(SITEMAP, shop.url("/index.xml")) as source:
        pages: list[Page] = [page async for page in source.pages("b", None)]
        cursor = pages[2].cursor
        assert [row.url for row in pages[2].rows] == ["https://cdn.example/1.jpg"]
        shop.requests.clear()
        rest = [row.url async for page in source.pages("b", cursor) for row in page.rows]
    assert rest == ["https://cdn.example/2.jpg"]
    assert shop.asked == ["/index.xml", "/2.xml"]


async def test_a_site_without_a_path_names_its_sitemaps_in_robots_txt(shop: Site) -> None:
    first, second = shop.url("/a.xml"), shop.url("/b.xml")
    robots = f"User-agent: *\nDisallow: /x\nSITEMAP: {first}\r\nSitemap:{second}"
    shop.has("/robots.txt", says(robots, "text/plain"))
    shop.has("/a.xml", xml(pictures(0, 1)))
    shop.has("/b.xml", xml(pictures(1, 2)))
    for place in (shop.base, shop.url("/")):
        assert [row.url for row in await rows(place)] == [
            "https://cdn.example/0.jpg",
            "https://cdn.example/1.jpg",
        ]


async def test_a_site_whose_robots_txt_names_none_has_sitemap_xml(shop: Site) -> None:
    shop.has("/sitemap.xml", xml(pictures(0, 1)))
    assert [row.url for row in await rows(shop.base)] == ["https://cdn.example/0.jpg"]
    assert shop.asked[0] == "/robots.txt"


async def test_a_sitemap_of_pages_is_refused_with_the_source_that_reads_pages(shop: Site) -> None:
    shop.has("/sitemap.xml", xml(urlset(entry("a"), entry("b"))))
    with pytest.raises(SourceRefused, match=r"No picture is named.*Write page:"):
        await rows(shop.url("/sitemap.xml"))


async def test_pages_without_pictures_among_others_are_counted(shop: Site) -> None:
    shop.has("/sitemap.xml", xml(urlset(entry("a"), entry("b", "https://cdn.example/b.jpg"))))
    found = await rows(shop.url("/sitemap.xml"))
    assert refused(found) == ["The sitemap names no picture (image:loc) of this page."]
    assert [row.url for row in found if not row.refused] == ["https://cdn.example/b.jpg"]


@pytest.mark.parametrize(
    ("path", "says_why"),
    [
        ("/gone.xml", "HTTP 404"),
        ("/html.xml", "web page"),
        ("/feed.xml", "a feed"),
        ("/cut.xml", "cannot be read"),
        ("/cut.xml.gz", "cannot be unpacked"),
        ("/empty.xml", "It is empty"),
        ("/pages.txt", "no XML"),
        ("/bomb.xml", "EntitiesForbidden"),
        ("/bomb.xml.gz", "unpacks to more than|bytes unpacked"),
        ("/private.xml", "address that is refused"),
    ],
)
async def test_g8_one_bad_sitemap_of_an_index_is_counted_and_the_others_are_read(
    shop: Site, path: str, says_why: str
) -> None:
    packed = gzip.compress(pictures(0, 50).encode())
    bomb = '<!DOCTYPE u [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]>' + urlset(entry("&b;"))
    shop.has("/html.xml", says("<!doctype html><html><title>404</title></html>"))
    shop.has("/feed.xml", xml("<rss><channel><item/></channel></rss>"))
    shop.has("/cut.xml", xml(pictures(0, 3)[:-40]))
    shop.has("/cut.xml.gz", says(packed[: len(packed) // 2], "application/gzip"))
    shop.has("/empty.xml", xml(""))
    shop.has("/pages.txt", says("https://shop.example/a\nhttps://shop.example/b", "text/plain"))
    shop.has("/bomb.xml", xml(bomb))
    shop.has("/bomb.xml.gz", says(packed_bomb(), "x/y"))
    shop.has("/private.xml", leads_to("http://10.1.2.3/sitemap.xml"))
    shop.has("/index.xml", xml(index(shop.url(path), shop.url("/good.xml"))))
    shop.has("/good.xml", xml(pictures(7, 8)))
    found = await once(shop.url("/index.xml"))
    assert [row.url for row in found if not row.refused] == ["https://cdn.example/7.jpg"]
    (why,) = refused(found)
    assert why.startswith("The sitemap is not read: ")
    assert any(part in why for part in says_why.split("|"))
    with pytest.raises(SourceRefused):
        await once(shop.url(path))


async def test_g3_indexes_that_name_each_other_end(shop: Site) -> None:
    shop.has("/a.xml", xml(index(shop.url("/b.xml"), shop.url("/good.xml"))))
    shop.has("/b.xml", xml(index(shop.url("/a.xml"), shop.url("/b.xml"))))
    shop.has("/good.xml", xml(pictures(0, 1)))
    found = await rows(shop.url("/a.xml"))
    assert [row.url for row in found if not row.refused] == ["https://cdn.example/0.jpg"]
    assert refused(found) == ["The index of sitemaps names itself."] * 2


async def test_g3_indexes_without_end_are_read_to_their_limit(shop: Site) -> None:
    for n in range(sitemap.LEVELS_MAX + 3):
        shop.has(f"/{n}.xml", xml(index(shop.url(f"/{n + 1}.xml"), shop.url(f"/{n + 1}.xml"))))
    shop.has("/good.xml", xml(pictures(0, 1)))
    shop.has("/index.xml", xml(index(shop.url("/0.xml"), shop.url("/good.xml"))))
    found = await rows(shop.url("/index.xml"))
    assert [row.url for row in found if not row.refused] == ["https://cdn.example/0.jpg"]
    (why,) = refused(found)
    assert why == f"An index in {sitemap.LEVELS_MAX} levels is not read; it names 1 sitemaps."


async def test_what_the_limit_of_sitemaps_leaves_out_is_counted(
    shop: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sitemap, "SITEMAPS_MAX", 3)
    shop.has("/index.xml", xml(index(*(shop.url(f"/{n}.xml") for n in range(6)))))
    for n in range(6):
        shop.has(f"/{n}.xml", xml(pictures(3 * n, 3 * n + 3)))
    found = await rows(shop.url("/index.xml"), page_rows=2)
    assert [row.url for row in found if row.url] == [
        f"https://cdn.example/{n}.jpg" for n in range(6)
    ]
    assert refused(found) == ["A source is read up to 3 sitemaps. 4 sitemaps were not read."]


async def test_what_the_limit_of_bytes_leaves_out_is_counted(
    shop: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = index(*(shop.url(f"/{n}.xml") for n in range(4)))
    shop.has("/index.xml", xml(listed))
    for n in range(4):
        shop.has(f"/{n}.xml", xml(pictures(n, n + 1)))
    monkeypatch.setattr(sitemap, "TOTAL_MAX_BYTES", len(listed) + 1)
    found = await rows(shop.url("/index.xml"))
    assert [row.url for row in found if row.url] == ["https://cdn.example/0.jpg"]
    (why,) = refused(found)
    assert why.endswith("bytes of sitemaps. 3 sitemaps were not read.")
    monkeypatch.setattr(sitemap, "TOTAL_MAX_BYTES", len(listed))
    with pytest.raises(SourceRefused, match=r"No picture is named.*4 sitemaps were not read"):
        await rows(shop.url("/index.xml"))


async def test_a_site_that_is_away_is_unavailable_with_what_it_asks_for(shop: Site) -> None:
    shop.has("/index.xml", xml(index(shop.url("/a.xml"))))
    shop.has("/a.xml", fails(429, Retry_After="900"))
    with pytest.raises(SourceUnavailable) as away:
        await rows(shop.url("/index.xml"))
    assert away.value.retry_after_s == 900


async def test_g9_the_token_goes_to_the_sites_own_origin_only(shop: Site) -> None:
    async with site() as other:
        shop.has("/index.xml", xml(index(shop.url("/a.xml"), other.url("/b.xml"))))
        shop.has("/a.xml", leads_to(other.url("/c.xml")))
        other.has("/b.xml", xml(pictures(0, 1)))
        other.has("/c.xml", xml(pictures(1, 2)))
        async with opened(SITEMAP, shop.url("/index.xml"), token="s3cret") as source:
            found = [row async for page in source.pages("b", None) for row in page.rows]
    assert len(found) == 2
    sent = [request.headers.get("Authorization") for request in shop.requests]
    assert sent == ["Bearer s3cret"] * 2
    assert [request.headers.get("Authorization") for request in other.requests] == [None, None]


async def test_g9_a_private_site_is_refused(shop: Site) -> None:
    shop.has("/sitemap.xml", xml(pictures(0, 1)))
    with pytest.raises(SourceRefused, match="address that is refused"):
        async with opened(SITEMAP, shop.url("/sitemap.xml"), allow=()) as source:
            await collect(source)
    assert shop.requests == []


async def test_a_check_shows_what_a_run_would_take(shop: Site) -> None:
    shop.has("/sitemap.xml", xml(urlset(entry("a"), entry("b", "https://cdn.example/b.jpg"))))
    async with opened(SITEMAP, shop.url("/sitemap.xml")) as source:
        found = await check_source(source, f"sitemap:{shop.url('/sitemap.xml')}", None)
    assert (found.rows_read, found.items, found.rows_refused, found.whole) == (2, 1, 1, True)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("https://", "is not the URL of a site"),
        ("ftp://a.example/x.xml", "is not the URL of a site"),
        ("https://me:pw@a.example/s.xml", "send them as a header of a profile"),
    ],
)
def test_a_place_that_is_no_site_is_refused_by_name(place: str, why: str) -> None:
    with pytest.raises(SourceRefused, match=why):
        SourceRegistry([SITEMAP]).open(
            f"sitemap:{place}",
            transports=None,  # type: ignore[arg-type]
            token=None,
            page_rows=1,
        )


async def test_a_cursor_of_another_source_is_refused(shop: Site) -> None:
    async with opened(SITEMAP, shop.url("/a.xml")) as source:
        with pytest.raises(SourceRefused, match="is not a cursor of this source"):
            _ = [page async for page in source.pages("b", "7")]
